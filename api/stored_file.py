"""Files in storage, sent whole or one range of bytes of them."""

from typing import Annotated, Protocol

import msgspec
from litestar import Response
from litestar.params import HeaderParameter
from litestar.response import Stream

from api.attachment import attachment_headers
from api.byte_range import requested_range
from api.entity_tag import is_among
from shared.storage.store import Storage

Range = Annotated[str | None, HeaderParameter(name="Range")]
IfRange = Annotated[str | None, HeaderParameter(name="If-Range")]
IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match")]


class StoredFile(Protocol):
    """A file in storage. Digest: SHA-256, hexadecimal."""

    @property
    def key(self) -> str:
        """In storage."""

    @property
    def size_bytes(self) -> int:
        """Of all of it."""

    @property
    def digest(self) -> str:
        """Which is its entity tag too."""

    @property
    def file_name(self) -> str:
        """To keep it under."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a request ask for."""

    byte_range: str | None
    if_range: str | None
    if_none_match: str | None


def file_answer(
    file: StoredFile, wanted: Wanted, *, storage: Storage, media_type: str
) -> Response[None] | Stream:
    """The file, or the range of it that is wanted; 304 to those who have it."""
    tag = f'"{file.digest}"'
    if is_among(tag, wanted.if_none_match):
        return Response(None, status_code=304, headers={"ETag": tag})
    headers = {
        **attachment_headers(file.file_name, size_bytes=file.size_bytes, digest=file.digest),
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Type": media_type,  # exactly: the framework adds a charset to every text
    }
    is_same = wanted.if_range in (None, tag)
    part = requested_range(wanted.byte_range, file.size_bytes) if is_same else None
    if part is None:
        return Stream(storage.read(file.key, end=file.size_bytes), headers=headers, media_type=media_type)
    return Stream(
        storage.read(file.key, start=part.start, end=part.end),
        status_code=206,
        headers=headers | part.headers(),
        media_type=media_type,
    )
