"""Addresses that a job's input may lie at: on the web, or in buckets that the operator lists.

An address may hold a secret, in a user name and password or in a signed query: what is shown or logged of it
is `shown_address`, and no error repeats it.
"""

from pathlib import PurePosixPath
from uuid import UUID

import httpx
import msgspec

from shared.errors import FieldError, InvalidInput
from shared.jobs.input_buckets import reason_in_bucket
from shared.jobs.job import FileFormat
from shared.jobs.text_encoding import TextEncoding
from shared.outbound.web_address import (
    host_of,
    parsed_url,
    reason_in_host,
    reason_in_port,
    reason_in_scheme,
)
from shared.settings import Settings

S3 = "s3://"
URL_MAX = 8192  # characters: signed links carry whole tokens
FILE_NAME_MAX = 200  # likewise


class InputUrlRefused(InvalidInput):
    """No input is fetched from there. The text never repeats the address."""

    code = "input_url_refused"

    def __init__(self, reason: str, *, pointer: str = "/url") -> None:
        super().__init__(
            f"The input cannot be fetched from this URL: {reason}.",
            [FieldError(message=reason, pointer=pointer)],
        )


class InputAddress(msgspec.Struct, frozen=True):
    """Where a job's input lies, if it was not sent."""

    url: str

    def check(self, settings: Settings, *, tenant_id: UUID, pointer: str = "/url") -> None:
        """Refuse an address that nothing could or may be fetched from.

        What a name in it means is judged when it is fetched, and again at every redirect.

        Args:
            pointer: where the URL stands in the request, for the error.

        Raises:
            InputUrlRefused: it is malformed, or not allowed with these settings.
        """
        reason = self._reason_to_refuse(settings, tenant_id)
        if reason:
            raise InputUrlRefused(reason, pointer=pointer)

    def check_web(self, settings: Settings) -> None:
        """The same for a redirect, which may lead to the web alone.

        Raises:
            InputUrlRefused: it is malformed, or not allowed with these settings.
        """
        reason = _reason_in_web_address(self.url, settings)
        if reason:
            raise InputUrlRefused(reason)

    @property
    def is_in_bucket(self) -> bool:
        """Whether it is read as an object and not by HTTP."""
        return self.url.startswith(S3)

    @property
    def file_name(self) -> str:
        """What the file is called there."""
        path = self.url.removeprefix(S3) if self.is_in_bucket else httpx.URL(self.url).path
        name = PurePosixPath(path).name
        shown = "".join(character for character in name if character.isprintable())[:FILE_NAME_MAX]
        return shown if shown.strip(". ") else "input"

    def shown(self) -> str:
        """The address without what may be secret."""
        if self.is_in_bucket:
            return self.url  # which may hold no user, and no query
        return str(httpx.URL(self.url).copy_with(userinfo=b"", query=None, fragment=None))

    def _reason_to_refuse(self, settings: Settings, tenant_id: UUID) -> str | None:
        if self.is_in_bucket:
            return reason_in_bucket(self.url, settings, tenant_id=tenant_id)
        return _reason_in_web_address(self.url, settings)


class RemoteInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that has still to be fetched, and what was said of it; None: its first bytes shall say."""

    address: InputAddress
    tenant_id: UUID
    file_name: str
    format: FileFormat | None
    encoding: TextEncoding | None
    output_format: FileFormat | None


def _reason_in_web_address(text: str, settings: Settings) -> str | None:
    url = parsed_url(text, most_characters=URL_MAX)
    if url is None:
        return f"it is not a URL of at most {URL_MAX} printable characters"
    if url.scheme not in ("https", "http"):
        return "it must begin with https:// or s3://"
    return (
        reason_in_scheme(url, environment=settings.environment)
        or reason_in_port(url)
        or reason_in_host(host_of(url), allow_private=settings.allow_private_inputs)
    )
