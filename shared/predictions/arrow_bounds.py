"""How much memory an Arrow IPC stream will take once its compressed buffers are unpacked.

pyarrow unpacks a record batch as it reads it, into as many bytes as the batch says that it holds: a few
hundred bytes of body may claim terabytes. What is claimed stands before each compressed buffer, and pyarrow
refuses a buffer that holds anything else; so the claims are added up first. For that the few fields of a
message's metadata that lead there are read here; pyarrow has verified the metadata's structure by then.

Source: Message.fbs and Schema.fbs of the Arrow columnar format, version 1.5; the encoding of FlatBuffers.
"""

import itertools
import struct
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from shared.errors import TooLarge

MAX_MESSAGES: Final = 4096  # each costs time, however small
DICTIONARY_BATCH: Final = 2  # values of the union MessageHeader
RECORD_BATCH: Final = 3

# Numbers of fields in their tables.
MESSAGE_HEADER_TYPE: Final = 1
MESSAGE_HEADER: Final = 2
_DICTIONARY_DATA: Final = 1
_BATCH_BUFFERS: Final = 2
_BATCH_COMPRESSION: Final = 3

_STORED_AS_IT_IS: Final = -1  # a buffer that compression would not have made smaller


class BadMetadata(ValueError):
    """The metadata leads nowhere."""


def unpacked_bytes(stream: "pa.Buffer") -> int:
    """The bytes that the stream's compressed buffers claim to hold. 0 where nothing is compressed.

    Raises:
        pa.ArrowException, OSError, BadMetadata: it is no stream of messages.
        TooLarge: it has too many.
    """
    messages = pa.ipc.MessageReader.open_stream(stream)
    claimed = sum(_claims(message) for message in itertools.islice(messages, MAX_MESSAGES))
    if next(messages, None) is not None:
        raise TooLarge(f"the Arrow stream has more than {MAX_MESSAGES} messages: make its batches larger")
    return claimed


def _claims(message: Any) -> int:
    return claimed_bytes(memoryview(message.metadata), message.body)


def claimed_bytes(metadata: memoryview, body: "memoryview | pa.Buffer") -> int:
    """The bytes that one message's compressed buffers claim to hold. 0 where nothing is compressed.

    Raises:
        BadMetadata: its metadata leads nowhere.
    """
    try:
        buffers = list(_compressed_buffers(metadata))
        return sum(_claim(memoryview(body), offset, length) for offset, length in buffers) if buffers else 0
    except struct.error:
        raise BadMetadata("a message points beyond its end") from None


def _compressed_buffers(metadata: memoryview) -> Iterator[tuple[int, int]]:
    """Offset and length of each of the message's buffers, if they are compressed."""
    message = _u32(metadata, 0)
    kind_at = field_at(metadata, message, MESSAGE_HEADER_TYPE)
    kind = metadata[kind_at] if kind_at else 0
    batch = target_at(metadata, message, MESSAGE_HEADER)
    if kind == DICTIONARY_BATCH:
        batch = target_at(metadata, batch, _DICTIONARY_DATA)
    if kind not in {DICTIONARY_BATCH, RECORD_BATCH} or not field_at(metadata, batch, _BATCH_COMPRESSION):
        return
    vector = target_at(metadata, batch, _BATCH_BUFFERS)
    start = vector + 4
    yield from struct.iter_unpack("<qq", metadata[start : start + 16 * _u32(metadata, vector)])


def _claim(body: memoryview, offset: int, length: int) -> int:
    """What one compressed buffer says that it holds: eight bytes before its data."""
    if not length:
        return 0
    if not 0 <= offset <= len(body) or length < 0:
        raise BadMetadata("a buffer lies outside its message")
    claimed: int = struct.unpack_from("<q", body, offset)[0]
    if claimed < _STORED_AS_IT_IS:
        raise BadMetadata("a buffer claims a negative size")
    return max(claimed, 0)


def field_at(metadata: memoryview, table: int, number: int) -> int:
    """Where a field of a table lies; 0 where it is left out."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    entry = 4 + 2 * number
    if vtable < 0 or entry >= struct.unpack_from("<H", metadata, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", metadata, vtable + entry)[0]
    return table + offset if offset else 0


def target_at(metadata: memoryview, table: int, number: int) -> int:
    """Where the table or vector lies that a field refers to; 0 where the field is left out."""
    at = field_at(metadata, table, number)
    return at + _u32(metadata, at) if at else 0


def _u32(metadata: memoryview, at: int) -> int:
    value: int = struct.unpack_from("<I", metadata, at)[0]
    return value
