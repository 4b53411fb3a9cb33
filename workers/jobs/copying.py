"""Bytes from one file to another, in pieces of the size that suits where they come from."""

from typing import BinaryIO

_PIECE_BYTES = 1024 * 1024  # of a file that does not say


def copy_bytes(source: BinaryIO, sink: BinaryIO, *, size: int | None = None) -> int:
    """Copy from where `source` is up to its end, or `size` bytes at most; how many those were."""
    most = getattr(source, "piece_bytes", _PIECE_BYTES)
    copied = 0
    while size is None or copied < size:
        piece = source.read(most if size is None else min(most, size - copied))
        if not piece:
            break
        sink.write(piece)
        copied += len(piece)
    return copied
