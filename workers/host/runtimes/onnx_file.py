"""Reads what an ONNX file says of itself, without ONNX: fields of protobuf, by their numbers.

Numbers and wire types are those of onnx.proto3, which promises never to change them.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL = {1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES, 8: _BYTES}
_MODEL |= {14: _BYTES, 20: _BYTES, 25: _BYTES, 26: _BYTES}
_IR_VERSION, _GRAPH, _OPSETS, _FUNCTIONS = 1, 7, 8, 25
_LARGEST_IR_VERSION = 1000
_LONGEST_VARINT = 10
_LARGEST_BYTES = 1 << 31  # protobuf's own limit
_DEEPEST = 32  # graphs within graphs

# Where a tensor can be: message by message, the fields that lead to one.
_PATHS: dict[str, dict[int, str]] = {
    "model": {_GRAPH: "graph", _FUNCTIONS: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_NAME, _STRINGS, _INTS = 1, 9, 8  # of an attribute
# A forest's attributes are millions of floats, whole numbers and short strings, each in a field of its own.
_SHORT = b"|".join(re.escape(bytes([length])) + b".{%d}" % length for length in range(32))
_NUMBERS = re.compile(
    rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x4a(?:" + _SHORT + rb")){1,4096}", re.DOTALL
)
_CLASSES = (b"classlabels_strings", b"classlabels_ints", b"classlabels_int64s")


class Broken(Exception):
    """These bytes are no protobuf, or break off."""


class OnnxFile(msgspec.Struct, frozen=True):
    """What a model says of itself.

    Attributes:
        opsets: the version by domain; the domain of ONNX itself is "".
        external: some of its tensors lie in other files.
        classes: that its classifier names, if there is exactly one that does.
    """

    ir_version: int
    opsets: dict[str, int]
    external: bool
    classes: list[int] | list[str] | None


def looks_like_onnx(file: BinaryIO, size_bytes: int) -> bool:
    """Whether the fields of the outermost message are those of a model, as far as the file goes."""
    seen: set[int] = set()
    try:
        while file.tell() < size_bytes:
            number, value = _skip_field(file)
            if number == _IR_VERSION and not 1 <= value <= _LARGEST_IR_VERSION:
                return False
            seen.add(number)
            if number == _GRAPH and file.tell() > size_bytes:
                break  # cut off in the middle, and still a model
    except Broken:
        return False
    finally:
        file.seek(0)
    return {_IR_VERSION, _GRAPH} <= seen or {_OPSETS, _GRAPH} <= seen


def read_onnx(content: bytes) -> OnnxFile:
    """What the model says of itself.

    Raises:
        Broken: it breaks off, or is no protobuf.
    """
    model = memoryview(content)
    ir_version, opsets = 0, {}
    for number, value in _fields(model):
        if number == _IR_VERSION and isinstance(value, int):
            ir_version = value
        elif number == _OPSETS and isinstance(value, memoryview):
            domain, version = _opset(value)
            opsets[domain] = version
    found = _Tensors()
    found.look(model, "model", 0)
    return OnnxFile(ir_version, opsets, found.external, found.classes)


def _opset(message: memoryview) -> tuple[str, int]:
    fields = dict(_fields(message))
    domain, version = fields.get(1), fields.get(2)
    name = bytes(domain).decode(errors="replace") if isinstance(domain, memoryview) else ""
    return name, version if isinstance(version, int) else 0


class _Tensors:
    """Walks to every tensor."""

    def __init__(self) -> None:
        self.external = False
        self._classes: list[list[int] | list[str]] = []

    @property
    def classes(self) -> list[int] | list[str] | None:
        return self._classes[0] if len(self._classes) == 1 else None

    def look(self, message: memoryview, kind: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise Broken("graphs within graphs, too deep to follow")
        if kind == "tensor":
            self._look_at_tensor(message)
            return
        if kind == "attribute":
            self._look_at_attribute(message)
        for number, value in _fields(message, passing=_NUMBERS if kind == "attribute" else None):
            inner = _PATHS[kind].get(number)
            if inner is not None and isinstance(value, memoryview):
                self.look(value, inner, depth + (inner == "graph"))

    def _look_at_tensor(self, tensor: memoryview) -> None:
        for number, value in _fields(tensor):
            self.external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)

    def _look_at_attribute(self, attribute: memoryview) -> None:
        name = next((value for number, value in _fields(attribute) if number == _NAME), b"")
        if isinstance(name, memoryview) and bytes(name) in _CLASSES:
            labels = _strings(attribute) or _integers(attribute)
            if labels:
                self._classes.append(labels)


def _strings(attribute: memoryview) -> list[str]:
    values = (value for number, value in _fields(attribute) if number == _STRINGS)
    return [bytes(value).decode(errors="replace") for value in values if isinstance(value, memoryview)]


def _integers(attribute: memoryview) -> list[int]:
    """Either each in a field of its own, or packed into one."""
    numbers: list[int] = []
    for number, value in _fields(attribute):
        if number != _INTS:
            continue
        if isinstance(value, int):
            numbers.append(value)
        else:
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                numbers.append(one)
    return [number - (1 << 64) if number >> 63 else number for number in numbers]


def _fields(
    message: memoryview, passing: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: numbers as they are, all else as bytes; without those that are passed over."""
    at = 0
    while at < len(message):
        if passing is not None and (passed := passing.match(message, at)):
            at = passed.end()
            continue
        tag, at = _varint(message, at)
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        length, at = _length(message, at, tag & 7)
        if at + length > len(message):
            raise Broken("it breaks off")
        yield tag >> 3, message[at : at + length]
        at += length


def _length(message: memoryview, at: int, wire: int) -> tuple[int, int]:
    if wire == _BYTES:
        return _varint(message, at)
    if wire in (_FIXED64, _FIXED32):
        return (8 if wire == _FIXED64 else 4), at
    raise Broken(f"a field of wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004  the high bit says that more follows
            return value & ((1 << 64) - 1), at + shift + 1
    raise Broken("a number that does not end")


def _skip_field(file: BinaryIO) -> tuple[int, int]:
    """Go past a field of the outermost message; its number, and its value or length."""
    tag = _read_varint(file)
    number, wire = tag >> 3, tag & 7
    if _MODEL.get(number) != wire:
        raise Broken(f"a field {number} of wire type {wire}")
    value = _read_varint(file)
    if wire == _BYTES:
        if value > _LARGEST_BYTES:
            raise Broken(f"a field of {value} bytes")
        file.seek(value, 1)
    return number, value


def _read_varint(file: BinaryIO) -> int:
    start = file.tell()
    value, length = _varint(memoryview(file.read(_LONGEST_VARINT)), 0)
    file.seek(start + length)
    return value
