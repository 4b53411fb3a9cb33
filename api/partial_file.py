"""The beginning of a job's output, sent while the rest may still be made."""

from collections.abc import AsyncIterator, Awaitable, Callable

from litestar import Response
from litestar.response import Stream

from api.attachment import attachment_headers
from api.byte_range import ByteRange, requested_range
from api.entity_tag import is_among
from api.stored_file import Wanted
from shared.jobs.leading_parts import Piece
from shared.jobs.partial import PartialResult
from shared.storage.errors import ObjectMissing
from shared.storage.store import Storage

LookAgain = Callable[[], Awaitable[PartialResult]]


def partial_answer(
    file: PartialResult, wanted: Wanted, *, storage: Storage, media_type: str, look_again: LookAgain
) -> Response[None] | Stream:
    """What there is of the file, or the range of it that is wanted; 304 to those who have it.

    Bytes that were once there stay as they are: whoever has the first n asks for `Range: bytes=n-`.

    Args:
        look_again: finds the file anew, should its pieces be joined while they are read.
    """
    tag = f'"{file.digest or f"{file.job_id}-{file.input_rows}"}"'
    if is_among(tag, wanted.if_none_match):
        return Response(None, status_code=304, headers={"ETag": tag})
    headers = {
        **attachment_headers(file.file_name, size_bytes=file.size_bytes, digest=file.digest),
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Type": media_type,
        "Cache-Control": "no-cache",
        "X-Result-Rows": str(file.rows),
        "X-Result-Input-Rows": str(file.input_rows),
        "X-Result-Complete": "true" if file.complete else "false",
    }
    is_same = wanted.if_range in (None, tag)
    part = requested_range(wanted.byte_range, file.size_bytes) if is_same else None
    whole = part or ByteRange(0, file.size_bytes, file.size_bytes)
    content = _read(storage, file.pieces, whole, look_again=look_again)
    if part is None:
        return Stream(content, headers=headers, media_type=media_type)
    return Stream(content, status_code=206, headers=headers | part.headers(), media_type=media_type)


async def _read(
    storage: Storage, pieces: list[Piece], wanted: ByteRange, *, look_again: LookAgain
) -> AsyncIterator[bytes]:
    """The bytes that are wanted of the pieces. Where these are gone, of the file that was made of them."""
    at = wanted.start
    try:
        async for content in _stretch(storage, pieces, at, wanted.end):
            yield content
            at += len(content)
    except ObjectMissing:
        now = await look_again()
        if now.pieces == pieces or now.size_bytes < wanted.end:
            raise
        async for content in _stretch(storage, now.pieces, at, wanted.end):
            yield content


async def _stretch(storage: Storage, pieces: list[Piece], start: int, end: int) -> AsyncIterator[bytes]:
    before = 0
    for piece in pieces:
        first, last = max(start - before, 0), min(end - before, piece.size_bytes)
        if first < last:
            async for content in storage.read(piece.key, start=first, end=last):
                yield content
        before += piece.size_bytes
