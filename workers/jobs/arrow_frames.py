"""Where the messages of an Arrow file or stream lie, read from their metadata alone.

A file is a stream between two marks, with a footer behind it that says where its batches are. Both are read
as streams: so a chunk is a range of bytes. Nothing here has been looked at by pyarrow: every number may lie.

Source: "Encapsulated message format" and "IPC File Format" of the Arrow columnar format, version 1.5.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_bounds import (
    DICTIONARY_BATCH,
    MESSAGE_HEADER,
    MESSAGE_HEADER_TYPE,
    RECORD_BATCH,
    field_at,
    target_at,
)

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024  # of one batch: so much is in memory at a time
MAX_MESSAGES: Final = 1_000_000

_MAGIC: Final = b"ARROW1"
_CONTINUATION: Final = b"\xff\xff\xff\xff"
_PREFIX_BYTES: Final = 8  # continuation, length of the metadata
_MAX_METADATA_BYTES: Final = 16 * 1024 * 1024
_HEAD_BYTES: Final = 8  # magic, and padding
_TAIL_BYTES: Final = 4 + len(_MAGIC)  # length of the footer, magic
_SCHEMA: Final = 1  # of the union MessageHeader
_BODY_BYTES: Final = 3  # fields of Message, and of RecordBatch
_ROWS: Final = 0


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        start: where it begins in the file.
        metadata_bytes: with what stands before it.
        kind: of the union MessageHeader.
        rows: 0 where it is no batch of them.
    """

    start: int
    metadata_bytes: int
    body_bytes: int
    kind: int
    rows: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.metadata_bytes + self.body_bytes

    @property
    def is_dictionary(self) -> bool:
        """Whether it holds values that later batches refer to."""
        return self.kind == DICTIONARY_BATCH


def damaged(why: object) -> UnreadableInput:
    """The error about a file that is not what it should be."""
    return UnreadableInput(f"the Arrow file is damaged: {why}")


def messages_in(file: BinaryIO) -> tuple[int, int]:
    """Where the first message begins, and where the last ends.

    Raises:
        UnreadableInput: it is a file without an end.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        return 0, size
    file.seek(max(size - _TAIL_BYTES, 0))
    tail = file.read(_TAIL_BYTES)
    end = size - _TAIL_BYTES - int.from_bytes(tail[:4], "little", signed=True)
    if not tail.endswith(_MAGIC) or not _HEAD_BYTES <= end <= size - _TAIL_BYTES:
        raise damaged("it has no footer at its end, and may have been cut off")
    return _HEAD_BYTES, end


def frames(file: BinaryIO, start: int, end: int) -> Iterator[Frame]:
    """The messages from `start` to `end`, or to the mark of their end. The file may be read between two.

    Raises:
        UnreadableInput: a message is broken, or too large.
    """
    at = start
    for _ in range(MAX_MESSAGES):
        if at >= end:
            return
        frame = _frame(file, at, end)
        if frame is None:
            return
        yield frame
        at = frame.end
    raise UnreadableInput(f"the Arrow file has more than {MAX_MESSAGES} messages: make its batches larger")


def _frame(file: BinaryIO, at: int, end: int) -> Frame | None:
    file.seek(at)
    prefix = file.read(min(_PREFIX_BYTES, end - at))
    size = int.from_bytes(prefix[4:], "little", signed=True)
    if len(prefix) < _PREFIX_BYTES or not prefix.startswith(_CONTINUATION):
        raise damaged(f"there is no message at byte {at}")
    if size == 0:
        return None
    if not 0 < size <= min(_MAX_METADATA_BYTES, end - at - _PREFIX_BYTES):
        raise damaged(f"the message at byte {at} claims {size} bytes of metadata")
    frame = _described(file.read(size), at)
    if not 0 <= frame.body_bytes <= end - at - frame.metadata_bytes:
        raise damaged(f"the message at byte {at} claims {frame.body_bytes} bytes, and the file ends before")
    if frame.rows < 0:
        raise damaged(f"the message at byte {at} claims {frame.rows} rows")
    if frame.body_bytes > MAX_MESSAGE_BYTES:
        raise UnreadableInput(
            f"the Arrow file has a batch of {frame.body_bytes} bytes, and one may have {MAX_MESSAGE_BYTES}:"
            " write it in smaller ones, with pyarrow by `write_table(table, max_chunksize=65536)`"
        )
    return frame


def _described(metadata: bytes, at: int) -> Frame:
    view = memoryview(metadata)
    try:
        message = int(struct.unpack_from("<I", view)[0])
        kind_at = field_at(view, message, MESSAGE_HEADER_TYPE)
        kind = view[kind_at] if kind_at else 0
        header = target_at(view, message, MESSAGE_HEADER)
        return Frame(
            start=at,
            metadata_bytes=_PREFIX_BYTES + len(metadata),
            body_bytes=_long(view, message, _BODY_BYTES),
            kind=kind,
            rows=_long(view, header, _ROWS) if kind == RECORD_BATCH else 0,
        )
    except (struct.error, IndexError):
        raise damaged(f"the message at byte {at} points beyond its end") from None


def _long(view: memoryview, table: int, number: int) -> int:
    at = field_at(view, table, number)
    return int(struct.unpack_from("<q", view, at)[0]) if at else 0
