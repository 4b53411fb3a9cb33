"""Cuts CSV files where records end, though line ends may stand inside quotes."""

from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from shared.jobs.errors import UnreadableInput
from shared.jobs.job import ByteRange
from workers.jobs.csv_text import MAX_RECORD_BYTES, record_ends

_SCAN_BYTES = 8 * 1024 * 1024


def cut_records(file: BinaryIO, *, start: int, end: int, chunk_bytes: int) -> list[ByteRange]:
    """The records from `start` to `end` in ranges of about `chunk_bytes`.

    Every byte is looked at once, for its quotes alone: an odd number of them before a line end means
    that it is inside a value.

    Raises:
        UnreadableInput: a quote is never closed.
    """
    cuts = [start, *_cuts(file, start=start, end=end, chunk_bytes=chunk_bytes), end]
    return [ByteRange(first, last) for first, last in pairwise(cuts) if first < last]


def whole_records(file: BinaryIO, chunk: ByteRange, *, block_bytes: int) -> Iterator[bytes]:
    """The chunk in blocks of about `block_bytes`, each of whole records."""
    file.seek(chunk.start)
    left, rest = chunk.end - chunk.start, b""
    while left > 0:
        piece = file.read(min(block_bytes, left))
        if not piece:
            raise UnreadableInput("the CSV file is shorter than it was")
        left -= len(piece)
        block = rest + piece
        end = len(block) if left == 0 else _last_end(block)
        rest = block[end:]
        if len(rest) > MAX_RECORD_BYTES:
            raise UnreadableInput(f"a record of the CSV file is longer than {MAX_RECORD_BYTES} bytes")
        if end:
            yield block[:end]


def _cuts(file: BinaryIO, *, start: int, end: int, chunk_bytes: int) -> Iterator[int]:
    file.seek(start)
    at, wanted, inside = start, start + chunk_bytes, False
    while at < end:
        block = file.read(min(_SCAN_BYTES, end - at))
        if not block:
            raise UnreadableInput("the CSV file is shorter than it was")
        for cut in _cuts_within(block, inside=inside, wanted=wanted - at, step=chunk_bytes):
            yield at + cut
            wanted = at + cut + chunk_bytes
        inside ^= block.count(b'"') % 2 == 1
        at += len(block)
    if inside:
        raise UnreadableInput("the CSV file has a quote that is never closed")


def _cuts_within(block: bytes, *, inside: bool, wanted: int, step: int) -> Iterator[int]:
    """Where to cut a block: after the first record that ends `wanted` bytes in or later, and so on.

    Args:
        inside: whether the block begins inside quotes.
    """
    counted = 0
    while wanted < len(block):
        line_end = block.find(b"\n", max(wanted, counted))
        if line_end < 0:
            return
        inside ^= block.count(b'"', counted, line_end) % 2 == 1
        counted = line_end + 1
        if not inside:
            yield counted
            wanted = counted + step


def _last_end(block: bytes) -> int:
    """Where the last whole record ends in a block that begins with one; 0 if it holds no whole one."""
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    ends = record_ends(block)
    return int(ends[-1]) + 1 if len(ends) else 0
