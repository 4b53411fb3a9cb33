"""Which URLs events may be sent to, as far as their text tells. Rules without I/O."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from shared.errors import FieldError, InvalidInput
from shared.settings import Settings
from shared.webhooks.addresses import may_connect

MAX_URL_CHARACTERS = 2048

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)


class CallbackUrlRefused(InvalidInput):
    """Events may not be sent there. The text never repeats the URL: it may hold a secret."""

    code = "callback_url_refused"

    def __init__(self, reason: str, *, pointer: str) -> None:
        super().__init__(
            f"Events cannot be sent to this URL: {reason}.", [FieldError(message=reason, pointer=pointer)]
        )


def check_callback_url(url: str, settings: Settings, *, pointer: str = "/callback_url") -> None:
    """Refuse a URL that no event could or may be sent to.

    The name in it is looked up, and the addresses behind it are judged, at every attempt
    (`shared/webhooks/sender.py`): what a name means today says nothing of tomorrow.

    Args:
        pointer: where the URL stands in the request, for the error.

    Raises:
        CallbackUrlRefused: it can never be sent to, or not with these settings.
    """
    reason = _reason_to_refuse(url, settings)
    if reason:
        raise CallbackUrlRefused(reason, pointer=pointer)


def host_of(url: httpx.URL) -> str:
    """The host in lower case as it is looked up: ASCII, without brackets or the dot of the root."""
    return url.raw_host.decode("ascii").removesuffix(".")


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` spells out, or None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _reason_to_refuse(url: str, settings: Settings) -> str | None:
    parsed = _parsed(url)
    if parsed is None:
        return "it is not a URL of at most 2048 printable characters"
    return _reason_in_form(parsed, settings) or _reason_in_host(host_of(parsed), settings)


def _parsed(url: str) -> httpx.URL | None:
    """The URL as the HTTP client will read it, so that the check and the client never disagree."""
    if len(url) > MAX_URL_CHARACTERS or "\\" in url or not url.isprintable() or " " in url:
        return None
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


def _reason_in_form(url: httpx.URL, settings: Settings) -> str | None:
    if settings.environment == "production" and url.scheme != "https":
        return "it must begin with https://"
    if url.scheme not in ("https", "http"):
        return "it must begin with https:// or http://"
    if url.userinfo:
        return "it holds a user name or password; receivers verify the signature instead"
    if url.port is not None and not 0 < url.port < 65536:  # noqa: PLR2004  ports are 16 bits wide
        return "its port is not one of 1 to 65535"
    return None


def _reason_in_host(host: str, settings: Settings) -> str | None:
    address = literal_address(host)
    if address is not None:
        allowed = may_connect(address, allow_private=settings.allow_private_webhooks)
        return None if allowed else "its address is private or reserved"
    if not _NAME.fullmatch(host):
        return "its host is not a name or an address"
    if _is_odd_spelling(host):
        return "its address must be written as four decimal numbers"
    if _is_this_machine(host) and not settings.allow_private_webhooks:
        return "its address is private or reserved"
    return None


def _is_odd_spelling(host: str) -> bool:
    """Whether resolvers would take the name for an address: octal, hexadecimal, or with parts left out."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
