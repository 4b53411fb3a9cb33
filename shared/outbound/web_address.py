"""Callers' web addresses, as far as their text tells where they lead. Rules without I/O."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from shared.outbound.addresses import may_connect

MAX_URL_CHARACTERS = 2048

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)


def parsed_url(url: str, *, most_characters: int = MAX_URL_CHARACTERS) -> httpx.URL | None:
    """The URL as the HTTP client will read it, so that the check and the client never disagree.

    None: it is not one of at most so many printable characters.
    """
    if len(url) > most_characters or "\\" in url or not url.isprintable() or " " in url:
        return None
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


def host_of(url: httpx.URL) -> str:
    """The host in lower case as it is looked up: ASCII, without brackets or the dot of the root."""
    return url.raw_host.decode("ascii").removesuffix(".")


def port_of(url: httpx.URL) -> int:
    """The port that is connected to."""
    return url.port or (443 if url.scheme == "https" else 80)


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` spells out, or None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def reason_in_scheme(url: httpx.URL, *, environment: str) -> str | None:
    """Why the URL may not be used as it is spoken to, if so: plain HTTP is for development alone."""
    if environment == "production" and url.scheme != "https":
        return "it must begin with https://"
    if url.scheme not in ("https", "http"):
        return "it must begin with https:// or http://"
    return None


def reason_in_port(url: httpx.URL) -> str | None:
    """Why nobody can connect to the port, if so."""
    if url.port is not None and not 0 < url.port < 65536:  # noqa: PLR2004  ports are 16 bits wide
        return "its port is not one of 1 to 65535"
    return None


def reason_in_host(host: str, *, allow_private: bool) -> str | None:
    """Why the host may not be connected to, if its text alone says so. Names are judged when looked up."""
    address = literal_address(host)
    if address is not None:
        allowed = may_connect(address, allow_private=allow_private)
        return None if allowed else "its address is private or reserved"
    if not _NAME.fullmatch(host):
        return "its host is not a name or an address"
    if _is_odd_spelling(host):
        return "its address must be written as four decimal numbers"
    if _is_this_machine(host) and not allow_private:
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
