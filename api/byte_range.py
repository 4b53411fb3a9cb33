"""The `Range` header (RFC 9110, section 14), for one range of bytes."""

import re

import msgspec
from litestar.exceptions import HTTPException

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes from `start` up to `end`, excluded, of `size`."""

    start: int
    end: int
    size: int

    def headers(self) -> dict[str, str]:
        """What a partial answer says of itself."""
        return {
            "Content-Range": f"bytes {self.start}-{self.end - 1}/{self.size}",
            "Content-Length": str(self.end - self.start),
        }


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """The range that a client asks for; None for the whole: no header, several ranges, or none we can read.

    Raises:
        HTTPException: 416: the range begins behind the end.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None or found[0].rstrip().endswith("=-"):
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(size - int(last), 0), size
    elif last and int(last) < int(first):
        return None
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= end:
        raise HTTPException(
            status_code=416,
            detail=f"the range begins behind the end: there are {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return ByteRange(start, end, size)
