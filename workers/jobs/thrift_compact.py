"""Thrift's compact protocol, as far as Parquet's footers use it.

Structs are read and written field by field without knowing their schema, so that a field of a newer
Parquet comes out as it went in.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeAlias

import msgspec

_NIBBLE = 0x0F  # of a head: small sizes and steps; this very value says that a number follows
_MOST_BITS = 64  # of a number; without an end to them a few megabytes took hours
_SEVEN_BITS = 0x7F  # of each byte of a number; the eighth says that another follows


class Kind(IntEnum):
    """Type codes of fields and list elements."""

    TRUE = 1
    FALSE = 2
    BYTE = 3
    I16 = 4
    I32 = 5
    I64 = 6
    DOUBLE = 7
    BINARY = 8
    LIST = 9
    SET = 10
    STRUCT = 12


_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}  # asking the enum took a third of the time


class Field(msgspec.Struct, frozen=True, gc=False):
    """A value and how it is written."""

    kind: Kind
    value: Any


class ListOf(msgspec.Struct, frozen=True, gc=False):
    """A list and the type of its elements."""

    kind: Kind
    items: list[Any]


ThriftStruct: TypeAlias = dict[int, Field]  # by the numbers of the fields


class MalformedThrift(ValueError):
    """The bytes are not what they should be."""


def decode_struct(data: bytes) -> ThriftStruct:
    """The struct that `data` begins with.

    Raises:
        MalformedThrift: it is cut off, or holds types that Parquet does not use.
    """
    return decode_first(data)[0]


def decode_first(data: bytes) -> tuple[ThriftStruct, int]:
    """The same, and how many bytes it has.

    Raises:
        MalformedThrift: likewise.
    """
    reader = _Reader(data)
    try:
        return reader.struct(), reader.at
    except (LookupError, struct.error, RecursionError) as error:
        raise MalformedThrift(f"no Thrift struct in compact protocol: {error}") from error


def encode_struct(fields: ThriftStruct) -> bytes:
    """The bytes of a struct."""
    writer = _Writer()
    writer.struct(fields)
    return bytes(writer.out)


class _Reader:
    """Walks over the bytes once."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0
        self._values: dict[int, Callable[[], Any]] = {
            Kind.TRUE: self._byte_bool,  # as a list element; fields carry booleans in their type
            Kind.FALSE: self._byte_bool,
            Kind.BYTE: self._byte,
            Kind.I16: self._zigzag,
            Kind.I32: self._zigzag,
            Kind.I64: self._zigzag,
            Kind.DOUBLE: self._double,
            Kind.BINARY: self._binary,
            Kind.LIST: self._list,
            Kind.SET: self._list,
            Kind.STRUCT: self.struct,
        }

    def struct(self) -> ThriftStruct:
        fields: ThriftStruct = {}
        number = 0
        while (head := self._byte()) != 0:
            step, kind = head >> 4, _KINDS[head & _NIBBLE]
            number = number + step if step else self._zigzag()
            fields[number] = Field(kind, kind == Kind.TRUE if kind <= Kind.FALSE else self._values[kind]())
        return fields

    def _list(self) -> ListOf:
        head = self._byte()
        size = head >> 4
        if not size:  # some writers, fastparquet among them, name no type then
            return ListOf(_KINDS.get(head & _NIBBLE, Kind.STRUCT), [])
        kind = _KINDS[head & _NIBBLE]
        if size == _NIBBLE:
            size = self._varint()
        read = self._values[kind]
        return ListOf(kind, [read() for _ in range(size)])

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _byte_bool(self) -> bool:
        return self._byte() == Kind.TRUE

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            if shift >= _MOST_BITS:
                raise IndexError("a number has no end")
            value |= (byte & _SEVEN_BITS) << shift
            shift += 7
        value |= byte << shift
        if value >> _MOST_BITS:
            raise IndexError("a number is too large")
        return value

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _double(self) -> float:
        (value,) = struct.unpack_from("<d", self._data, self.at)
        self.at += 8
        return float(value)

    def _binary(self) -> bytes:
        size = self._varint()
        if self.at + size > len(self._data):
            raise IndexError("text is cut off")
        self.at += size
        return self._data[self.at - size : self.at]


class _Writer:
    """Appends to `out`."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._values: dict[int, Callable[[Any], None]] = {
            Kind.TRUE: self._byte_bool,
            Kind.FALSE: self._byte_bool,
            Kind.BYTE: self.out.append,
            Kind.I16: self._zigzag,
            Kind.I32: self._zigzag,
            Kind.I64: self._zigzag,
            Kind.DOUBLE: self._double,
            Kind.BINARY: self._binary,
            Kind.LIST: self._list,
            Kind.SET: self._list,
            Kind.STRUCT: self.struct,
        }

    def struct(self, fields: ThriftStruct) -> None:
        last = 0
        for number, field in sorted(fields.items()):
            self._head(number - last, number, kind=_written_kind(field))
            if field.kind > Kind.FALSE:
                self._values[field.kind](field.value)
            last = number
        self.out.append(0)

    def _head(self, step: int, number: int, *, kind: Kind) -> None:
        if 0 < step <= _NIBBLE:
            self.out.append(step << 4 | kind)
        else:
            self.out.append(kind)
            self._zigzag(number)

    def _list(self, elements: ListOf) -> None:
        size = len(elements.items)
        self.out.append(min(size, _NIBBLE) << 4 | elements.kind)
        if size >= _NIBBLE:
            self._varint(size)
        write = self._values[elements.kind]
        for item in elements.items:
            write(item)

    def _byte_bool(self, value: bool) -> None:
        self.out.append(Kind.TRUE if value else Kind.FALSE)

    def _varint(self, value: int) -> None:
        while value > _SEVEN_BITS:
            self.out.append(value & _SEVEN_BITS | 0x80)
            value >>= 7
        self.out.append(value)

    def _zigzag(self, value: int) -> None:
        self._varint(value << 1 ^ value >> 63)

    def _double(self, value: float) -> None:
        self.out += struct.pack("<d", value)

    def _binary(self, value: bytes) -> None:
        self._varint(len(value))
        self.out += value


def _written_kind(field: Field) -> Kind:
    if field.kind <= Kind.FALSE:
        return Kind.TRUE if field.value else Kind.FALSE
    return field.kind
