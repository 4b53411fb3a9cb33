"""What crosses the wall between a supervisor and a model host: frames, and the messages in them.

Without I/O: both sides feed bytes in and take messages out. A frame is

    bytes of message (u32, little endian) | bytes of body (u32) | message (msgpack) | body (raw)

with message and body each padded by zeros to a multiple of eight, so that a body of 64-bit floats
lies aligned in the buffer that received it and needs no copy. Nothing here ever unpickles.
"""

import struct
from collections.abc import Sequence
from typing import Literal

import msgspec

from shared.catalog.verdict import Contents, Engine, Reason, Signature, Verdict

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
INLINE_BYTES = 64 * 1024  # a body over this travels in a slot of shared memory, not through the socket
SLOT_BYTES = 1 << 34  # as large as a slot can grow
SLOTS = 2  # calls in flight: one computing, one waiting

_HEADER = struct.Struct("<II")
_BUFFER_BYTES = 256 * 1024
_PADDING = [bytes(-length % 8) for length in range(8)]  # by length modulo eight

Scalar = str | int | float | bool | None
Row = (
    Scalar | list[Scalar | list[Scalar | list[Scalar | list[Scalar]]]]
)  # of an output: up to four dimensions
Buffer = bytes | bytearray | memoryview
Kind = Literal["matrix", "columns", "arrow", "tensors"]
Dtype = Literal["<f8", "<i8", "|b1"]


class BadFrame(Exception):
    """Bytes that no honest peer sends."""


class Inspect(msgspec.Struct, frozen=True, array_like=True, tag="inspect", forbid_unknown_fields=True):
    """Say what is in the artifact whose descriptor comes with this message, without running anything of it.

    At most once, before the host opens anything.

    Attributes:
        unpacked_bytes: the most that it may unpack to.
    """

    id: int
    unpacked_bytes: int


class Load(msgspec.Struct, frozen=True, array_like=True, tag="load", forbid_unknown_fields=True):
    """Open the artifact whose descriptor comes with this message.

    Attributes:
        sample: a second descriptor comes with it: rows as CSV or Parquet.
        signature: known from an earlier verdict; None asks for a whole verdict with a probe.
        engine: that an earlier verdict chose, to be built again; None: native.
        may_run_code: the cell holds, or whoever runs the platform takes the risk. Otherwise only formats
            that bring no code are opened.
        unpacked_bytes: the most that it may unpack to; None where that was judged before.
        many_rows: calls will be of thousands of rows, for which there may be a faster form.
    """

    id: int
    sample: bool
    signature: Signature | None
    engine: Engine | None = None
    may_run_code: bool = True
    unpacked_bytes: int | None = None
    many_rows: bool = False


class Attempt(msgspec.Struct, frozen=True, array_like=True, tag="attempt", forbid_unknown_fields=True):
    """Try to get out of the cell, in place of opening an artifact, and end.

    Attributes:
        secret: a file that must not be readable; None: try what ends the process where the cell holds.
        memory_bytes: that must not be had.
    """

    id: int
    secret: str | None
    memory_bytes: int


class Accelerate(msgspec.Struct, frozen=True, array_like=True, tag="accelerate", forbid_unknown_fields=True):
    """Look for a faster engine for the model that was just opened, and answer by it from now on.

    A request of its own, so that an attempt which ends or stalls the process is known for what it is.
    """

    id: int


class Predict(msgspec.Struct, frozen=True, array_like=True, tag="predict", forbid_unknown_fields=True):
    """Answer some rows.

    Attributes:
        kind: what the input bytes are: float64 in row order, msgpack of one list a column, an Arrow stream,
            the arrays of one input after those of the other (shared/predictions/tensors.py).
        slot: whose memory holds the input, and takes a large reply.
        in_slot: the input lies at the start of the slot; otherwise it is the body of the frame.
        size_bytes: of the input.
        arrays: numbers answer as raw arrays, not as lists.
        reply_at: where in the slot a large reply may be written.
        reply_bytes: how much room there is.
    """

    id: int
    rows: int
    outputs: list[str]
    kind: Kind
    slot: int
    in_slot: bool
    size_bytes: int
    arrays: bool
    reply_at: int
    reply_bytes: int


class Inspected(msgspec.Struct, frozen=True, array_like=True, tag="inspected", forbid_unknown_fields=True):
    """What reading the artifact told: its contents, or why there is nothing to serve in it."""

    id: int
    contents: Contents | None
    reason: Reason | None = None


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag="loaded", forbid_unknown_fields=True):
    """What came of opening the artifact."""

    id: int
    verdict: Verdict


class Accelerated(
    msgspec.Struct, frozen=True, array_like=True, tag="accelerated", forbid_unknown_fields=True
):
    """What came of looking for a faster engine."""

    id: int
    engine: Engine


class Attempted(msgspec.Struct, frozen=True, array_like=True, tag="attempted", forbid_unknown_fields=True):
    """What came of trying to get out: what succeeded."""

    id: int
    escapes: list[str]


class Array(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where one output's numbers lie: from `offset` of the slot's reply area or of the frame's body."""

    name: str
    dtype: Dtype
    shape: list[int]
    in_slot: bool
    offset: int


class Predicted(msgspec.Struct, frozen=True, array_like=True, tag="predicted", forbid_unknown_fields=True):
    """The outputs of one call: each either among the values or among the arrays."""

    id: int
    compute_ns: int
    values: dict[str, list[Row]]
    arrays: list[Array]


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed", forbid_unknown_fields=True):
    """The model raised. `message` is fit for its owner's eyes: no path, no stack."""

    id: int
    message: str


Request = Inspect | Load | Attempt | Accelerate | Predict

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_request = msgspec.msgpack.Decoder(Request).decode


def frame(message: msgspec.Struct, body: Sequence[Buffer] = ()) -> list[Buffer]:
    """The buffers that make one frame, ready for `sendmsg`.

    Raises:
        BadFrame: over the limits of a frame.
    """
    encoded = _encoder.encode(message)
    size = sum(map(len, body))
    if len(encoded) > MAX_MESSAGE_BYTES or size > MAX_BODY_BYTES:
        raise BadFrame(f"a frame of {len(encoded)} + {size} bytes is too large to send")
    head = b"".join((_HEADER.pack(len(encoded), size), encoded, _PADDING[len(encoded) % 8]))
    return [head, *body, _PADDING[size % 8]] if size else [head]


class Frames:
    """Cuts a stream of bytes into frames.

    Receive into `space()`, say `received(count)`, then take what `next()` gives until it gives None.
    The views of a frame hold until the next `space()`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(_BUFFER_BYTES)
        self._start = 0
        self._end = 0
        self._wanted = 0  # bytes of the frame that has begun

    def space(self) -> memoryview:
        """Where to receive the next bytes; never empty."""
        if self._start == self._end:
            self._start = self._end = 0
        needed = max(self._wanted, self._end - self._start + 1, _HEADER.size)
        if len(self._buffer) - self._start < needed or len(self._buffer) > max(needed, _BUFFER_BYTES):
            self._move(max(_BUFFER_BYTES, needed))
        return memoryview(self._buffer)[self._end :]

    def received(self, count: int) -> None:
        """`count` bytes were put into the space."""
        self._end += count

    @property
    def held(self) -> int:
        """Bytes that were received and are of no frame yet that was given."""
        return self._end - self._start

    def next(self, most_message_bytes: int = MAX_MESSAGE_BYTES) -> tuple[memoryview, memoryview] | None:
        """Message and body of the next whole frame.

        Raises:
            BadFrame: the lengths are out of bounds.
        """
        held = self.held
        if held < _HEADER.size:
            return None
        message_bytes, body_bytes = _HEADER.unpack_from(self._buffer, self._start)
        if message_bytes > most_message_bytes or body_bytes > MAX_BODY_BYTES:
            raise BadFrame(f"a frame of {message_bytes} + {body_bytes} bytes is too large")
        message_at = self._start + _HEADER.size
        body_at = message_at + _padded(message_bytes)
        self._wanted = body_at + _padded(body_bytes) - self._start
        if held < self._wanted:
            return None
        self._start += self._wanted
        self._wanted = 0
        view = memoryview(self._buffer)
        return view[message_at : message_at + message_bytes], view[body_at : body_at + body_bytes]

    def _move(self, size: int) -> None:
        """Bring what is held to the front of another buffer: views of the old one stay whole."""
        held = self._buffer[self._start : self._end]
        self._buffer = bytearray(size)
        self._buffer[: len(held)] = held
        self._start, self._end = 0, len(held)


def _padded(length: int) -> int:
    return (length + 7) & ~7
