"""The headers of draft-ietf-httpbis-resumable-upload, read and written."""

from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

from shared.errors import MalformedRequest
from shared.settings import Settings
from shared.uploads.tables import UploadRow

MOST_BYTES = 2**63 - 1  # what a column of sizes holds
_MOST_DIGITS = 18  # of a number in a header: any such number fits
_BOOLEANS = {None: False, "?0": False, "?1": True}  # as structured fields spell them (RFC 9651)

UploadOffset: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Upload-Offset",
        description="Needed: how many bytes of the file come before the body.",
        schema_extra={"pattern": r"^[0-9]{1,18}$"},
    ),
]
UploadComplete: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Upload-Complete",
        description="`?1`: the file ends with this body. Needed where its size was not told at the begin.",
        schema_extra={"enum": ["?0", "?1"]},
    ),
]
UploadLength: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Upload-Length",
        description="In place of `size_bytes`.",
        schema_extra={"pattern": r"^0*[1-9][0-9]*$", "maxLength": _MOST_DIGITS},
    ),
]
WholeDigest: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Repr-Digest",
        description="`sha-256=:<base64>:` of the whole file, compared once all of it is there.",
    ),
]


def offset_of(header: str | None) -> int:
    """What `Upload-Offset` says.

    Raises:
        MalformedRequest: it is missing, or no number of bytes.
    """
    if header is None:
        raise MalformedRequest(
            "the header Upload-Offset is missing: it says how many bytes of the file come before the body"
        )
    return _bytes(header, name="Upload-Offset")


def announced_size(header: str | None, size_bytes: int | None) -> int | None:
    """What `Upload-Length` or the body's `size_bytes` says, if either is there.

    Raises:
        MalformedRequest: the header is no number of bytes, or 0, or the body says otherwise.
    """
    if header is None:
        return size_bytes
    length = _bytes(header, name="Upload-Length")
    if not length:
        raise MalformedRequest("the header Upload-Length is 0: there are no empty files of rows")
    if size_bytes not in {None, length}:
        raise MalformedRequest(f"the header Upload-Length says {length}, and size_bytes says {size_bytes}")
    return length


def says_complete(header: str | None) -> bool:
    """What `Upload-Complete` says; false where it is missing.

    Raises:
        MalformedRequest: it is neither `?0` nor `?1`.
    """
    if header not in _BOOLEANS:
        raise MalformedRequest("the header Upload-Complete is `?1` with the last bytes, and `?0` before")
    return _BOOLEANS[header]


def upload_headers(row: UploadRow, settings: Settings) -> dict[str, str]:
    """How far an upload is."""
    length = {} if row.size_bytes is None else {"Upload-Length": str(row.size_bytes)}
    return {
        "Upload-Offset": str(row.offset_bytes),
        "Upload-Complete": "?1" if row.key is not None else "?0",
        "Upload-Limit": f"max-size={settings.job_max_bytes}",
        "Cache-Control": "no-store",
        **length,
    }


def _bytes(text: str, *, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise MalformedRequest(f"the header {name} must be a number of bytes, such as 0 or 16777216")
    return int(text)
