"""Cuts text where lines end: in JSON Lines no line end is inside a value."""

from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO, Final

from shared.jobs.errors import UnreadableInput
from shared.jobs.job import ByteRange

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
_STEP_BYTES: Final = 64 * 1024


def cut_lines(file: BinaryIO, *, start: int, end: int, chunk_bytes: int) -> list[ByteRange]:
    """The lines from `start` to `end` in ranges of about `chunk_bytes`. Reads only around the cuts.

    Raises:
        UnreadableInput: a line is too long.
    """
    cuts = [start]
    while (wanted := cuts[-1] + chunk_bytes) < end:
        cuts.append(_line_end(file, wanted, end))
    return [ByteRange(first, last) for first, last in pairwise([*cuts, end]) if first < last]


def whole_lines(file: BinaryIO, chunk: ByteRange, *, block_bytes: int) -> Iterator[bytes]:
    """The chunk in blocks of about `block_bytes`, each of whole lines.

    Raises:
        UnreadableInput: a line is too long.
    """
    file.seek(chunk.start)
    left, rest = chunk.end - chunk.start, b""
    while left > 0:
        piece = file.read(min(block_bytes, left))
        if not piece:
            raise UnreadableInput("the file is shorter than it was")
        left -= len(piece)
        block = rest + piece
        end = len(block) if left == 0 else block.rfind(b"\n") + 1
        rest = block[end:]
        if len(block) > MAX_LINE_BYTES and max(map(len, block.split(b"\n"))) > MAX_LINE_BYTES:
            raise too_long()
        if end:
            yield block[:end]


def split_lines(block: bytes) -> list[bytes]:
    """The lines of a block. Blank ones are none."""
    return [line for line in block.split(b"\n") if line and not line.isspace()]


def too_long() -> UnreadableInput:
    """The error about a line that is larger than is read at a time."""
    return UnreadableInput(
        f"a line is longer than {MAX_LINE_BYTES} bytes: JSON Lines has an object a line; send large arrays as"
        " a Parquet file"
    )


def _line_end(file: BinaryIO, wanted: int, end: int) -> int:
    """Where the line ends that holds the byte before `wanted`."""
    at = wanted - 1
    file.seek(at)
    while at < end:
        piece = file.read(min(_STEP_BYTES, end - at))
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(piece)
        if not piece or at - wanted > MAX_LINE_BYTES:
            raise too_long()
    return end
