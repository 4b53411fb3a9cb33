"""Takes the values of an answer out of its message, and no more of them than were asked for.

A byte of msgpack can be an empty list, which takes sixty bytes as an object, and a name a hundred.
So what is large is counted before it is decoded: by the rows of the call, and the shapes of the signature.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from workers.host.protocol import Array, BadFrame, Row, Scalar

_SMALL_BYTES = 256 * 1024  # which may be whatever they are
_MANY = 10_000  # values of a row, above which each row is counted by itself
_VALUE_BYTES = 16  # of a number, and its share of what stands around it
_SPARE = 64  # a dimension may be longer than the signature says: models are not that exact
_ARRAY_BYTES = 1024  # that tell of one array
_LISTS, _MAPS = (
    (0x90, 0xDC, 0xDD),
    (0x80, 0xDE, 0xDF),
)  # msgpack: up to fifteen entries, 16 and 32 bits of them

_small = msgspec.msgpack.Decoder(dict[str, list[Row]]).decode
_outputs = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_scalar = msgspec.msgpack.Decoder(Scalar).decode
_scalars = msgspec.msgpack.Decoder(list[Scalar]).decode
_rows = msgspec.msgpack.Decoder(list[Scalar | list[Scalar]]).decode
_arrays = msgspec.msgpack.Decoder(list[Array]).decode


def values_in(raw: msgspec.Raw, *, rows: int, shapes: dict[str, Sequence[int]]) -> dict[str, list[Any]]:
    """The outputs by name, each with an entry a row.

    Args:
        shapes: of a row of each output that was asked for.

    Raises:
        BadFrame: there are more outputs, rows or values than there can be.
        msgspec.DecodeError: they are no values.
    """
    size = len(memoryview(raw))
    if size <= _SMALL_BYTES:
        return _small(raw)
    if _count(raw, _MAPS) > len(shapes):
        raise BadFrame("an answer of more outputs than were asked for")
    found = _outputs(raw)
    if not found.keys() <= shapes.keys():
        raise BadFrame("an answer of other outputs than were asked for")
    return {name: _counted(part, (rows, *shapes[name])) for name, part in found.items()}


def arrays_in(raw: msgspec.Raw, *, outputs: int) -> list[Array]:
    """Where the numbers of some outputs lie.

    Raises:
        BadFrame: it is told at a length that no outputs need.
        msgspec.DecodeError: it is not told.
    """
    if len(memoryview(raw)) > _ARRAY_BYTES * (1 + outputs):
        raise BadFrame("an answer of more arrays than were asked for")
    return _arrays(raw)


def _counted(raw: msgspec.Raw, sizes: tuple[int, ...]) -> list[Any]:
    if _count(raw, _LISTS) > sizes[0] + _SPARE:
        raise BadFrame("an output of more values than it has")
    if len(sizes) == 1:
        return _scalars(raw)
    if len(sizes) == 2 and _is_plain(raw, *sizes):  # noqa: PLR2004  rows of numbers, as probabilities are
        return _rows(raw)
    return [_part(part, sizes[1:]) for part in _parts(raw)]


def _is_plain(raw: msgspec.Raw, rows: int, width: int) -> bool:
    return width <= _MANY and len(memoryview(raw)) <= _VALUE_BYTES * rows * (width + 1)


def _part(raw: msgspec.Raw, sizes: tuple[int, ...]) -> Any:
    first = memoryview(raw)[0]
    return _counted(raw, sizes) if first & 0xF0 == _LISTS[0] or first in _LISTS else _scalar(raw)


def _count(raw: msgspec.Raw, kinds: tuple[int, int, int]) -> int:
    """How many entries a list or a map says that it has; none where it is neither."""
    head, (few, short, long) = memoryview(raw), kinds
    if head[0] & 0xF0 == few:
        return head[0] & 0x0F
    length = {short: 2, long: 4}.get(head[0], 0)
    return int.from_bytes(head[1 : 1 + length], "big")
