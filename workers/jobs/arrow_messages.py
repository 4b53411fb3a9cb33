"""Messages of Arrow on their way into pyarrow's reader, each looked at before it is unpacked."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.types as kinds

from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_bounds import BadMetadata, claimed_bytes
from shared.predictions.arrow_reader import text_lengths
from shared.predictions.arrow_values import is_text
from workers.jobs.arrow_frames import MAX_MESSAGE_BYTES, Frame, damaged
from workers.jobs.json_objects import is_list

_PREFIX_BYTES = 8
_ROWS_OF_NOTHING = 65_536  # rows that a batch may have, however little is in it


class CheckedMessages(io.RawIOBase):
    """Reads like a stream of the frames given, one of which is in memory at a time.

    Raises:
        UnreadableInput: on reading: a message would take too much memory, or has more rows than data.
    """

    def __init__(self, file: BinaryIO, chosen: Iterator[Frame]) -> None:
        self._file, self._chosen = file, chosen
        self._rest = memoryview(b"")
        self._dictionaries_left = MAX_MESSAGE_BYTES

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end. Without a size, all of them: nobody asks for that."""
        pieces: list[memoryview] = []
        left = size if size >= 0 else MAX_MESSAGE_BYTES
        while left > 0 and (self._rest or self._advance()):
            piece, self._rest = self._rest[:left], self._rest[left:]
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _advance(self) -> bool:
        frame = next(self._chosen, None)
        if frame is None:
            return False
        self._file.seek(frame.start)
        message = memoryview(self._file.read(frame.end - frame.start))
        self._check(frame, message)
        self._rest = message
        return True

    def _check(self, frame: Frame, message: memoryview) -> None:
        body = message[frame.metadata_bytes :]
        try:
            claimed = max(claimed_bytes(message[_PREFIX_BYTES : frame.metadata_bytes], body), len(body))
        except (BadMetadata, IndexError) as error:
            raise damaged(error) from None
        left = self._dictionaries_left if frame.is_dictionary else MAX_MESSAGE_BYTES
        if claimed > left:
            raise too_large(claimed)
        if frame.is_dictionary:
            self._dictionaries_left -= claimed
        if frame.rows > _ROWS_OF_NOTHING + 8 * claimed:  # a bit is the least that a value takes
            raise damaged(f"a batch claims {frame.rows} rows, and has {claimed} bytes")


def too_large(size_bytes: int) -> UnreadableInput:
    """The error about a batch that would take too much memory."""
    return UnreadableInput(
        f"a batch of the Arrow file unpacks to {size_bytes} bytes, and one may have {MAX_MESSAGE_BYTES}:"
        " write it in smaller ones, with pyarrow by `write_table(table, max_chunksize=65536)`"
    )


def check_batch(batch: pa.RecordBatch) -> None:
    """Look at all of a batch before anything uses its values: buffers may overlap, and offsets lie.

    Raises:
        pa.ArrowInvalid: it is broken.
        UnreadableInput: it is too much.
    """
    batch.validate()
    if batch.nbytes > MAX_MESSAGE_BYTES:
        raise too_large(batch.nbytes)
    batch.validate(full=True)


def check_texts(columns: list[pa.Array]) -> None:
    """One long text may be referred to by every row.

    Raises:
        UnreadableInput: as texts of their own they would take too much memory.
    """
    size = sum(map(_text_bytes, columns))
    if size > MAX_MESSAGE_BYTES:
        raise too_large(size)


def _text_bytes(column: pa.Array) -> int:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if kinds.is_dictionary(column.type):
        if not is_text(column.type.value_type):
            return 0
        taken = pa.array(text_lengths(column.dictionary)).take(column.indices)
        return int(taken.sum().as_py() or 0)
    if is_text(column.type):
        return int(text_lengths(column).sum())
    if kinds.is_struct(column.type):
        return sum(map(_text_bytes, column.flatten()))
    if is_list(column.type):
        return _text_bytes(column.flatten())
    return 0
