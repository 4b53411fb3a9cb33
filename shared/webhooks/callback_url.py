"""Which URLs events may be sent to, as far as their text tells. Rules without I/O."""

import httpx

from shared.errors import FieldError, InvalidInput
from shared.outbound.web_address import (
    host_of,
    parsed_url,
    reason_in_host,
    reason_in_port,
    reason_in_scheme,
)
from shared.settings import Settings


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


def _reason_to_refuse(url: str, settings: Settings) -> str | None:
    parsed = parsed_url(url)
    if parsed is None:
        return "it is not a URL of at most 2048 printable characters"
    return _reason_in_form(parsed, settings) or reason_in_host(
        host_of(parsed), allow_private=settings.allow_private_webhooks
    )


def _reason_in_form(url: httpx.URL, settings: Settings) -> str | None:
    if reason := reason_in_scheme(url, environment=settings.environment):
        return reason
    if url.userinfo:
        return "it holds a user name or password; receivers verify the signature instead"
    return reason_in_port(url)
