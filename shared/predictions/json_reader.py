"""From a JSON body to the bytes that a model host reads.

For each version a decoder is compiled from its signature: it knows the column names and their types, so
that a body which fits is decoded and checked in one go, in C. A body that does not fit so closely is read
anew by the general way, which takes what is merely unusual, and says of the rest what is wrong and where.
Whatever both can read, they read to the same bytes.
"""

import math
import struct
from collections.abc import Callable, Sequence
from types import GenericAlias
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.errors import InvalidInput, MalformedRequest
from shared.json_body import decode_json_as
from shared.predictions.predict_body import (
    OutputNames,
    PredictBody,
    StickyKey,
    VersionNumber,
)
from shared.predictions.rows import ReadRows, RowReader
from shared.predictions.tensors import array_type, check_size, flat, pack_column
from shared.predictions.values import INT64_MAX, INT64_MIN, as_single, travels_as
from shared.predictions.wire import encode

MAX_COMPILED_COLUMNS: Final = 1000  # making a decoder takes 20 us a column, on the event loop

Values = tuple[Any, ...]  # of one row, in the model's order

_TYPES: dict[Datatype, Any] = {
    Datatype.FP64: float | None,
    Datatype.FP32: float | None,
    Datatype.INT64: Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | None,
    Datatype.BOOL: bool | None,
    Datatype.BYTES: str | None,
}
# In arrays nothing but a float can be missing.
_TYPES_IN_ARRAYS: dict[Datatype, Any] = {
    Datatype.INT64: Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)],
    Datatype.BOOL: bool,
    Datatype.BYTES: str,
}
# What a decoder or a packer raises for a body that is not quite what it was made for. msgspec's errors and
# those of Unicode are ValueErrors.
_NOT_QUITE = (ValueError, TypeError, OverflowError, RecursionError, struct.error)


_SEND = 'send either `{"input": {…}}` (one row) or `{"inputs": [{…}, …]}` (rows)'


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows to predict: `input` for one, `inputs` for several.

    A row is an object with the model's column names, or an array in the model's order. Requests of one
    `key` go to the same version. `outputs` names what is wanted of `label`, `probabilities`, `scores`,
    `transformed` and whatever else the model's signature lists; without it, the first of them.
    """

    input: dict[str, Any] | list[Any] | UnsetType = UNSET
    inputs: list[dict[str, Any] | list[Any]] | UnsetType = UNSET
    version: VersionNumber | None = None
    outputs: OutputNames | None = None
    key: StickyKey | None = None

    @property
    def single(self) -> bool:
        """One row was sent as such, and is answered as such."""
        return not isinstance(self.input, UnsetType)

    def rows(self) -> list[Any]:
        """All rows.

        Raises:
            MalformedRequest: neither field was given, or both.
        """
        if isinstance(self.input, UnsetType) and not isinstance(self.inputs, UnsetType):
            return self.inputs
        if not isinstance(self.input, UnsetType) and isinstance(self.inputs, UnsetType):
            return [self.input]
        raise MalformedRequest(_SEND)


class _Version(msgspec.Struct, gc=False):
    version: int | None = None


_general = msgspec.json.Decoder(PredictRequest)
_only_version = msgspec.json.Decoder(_Version)


def asked_version(body: bytes) -> int | None:
    """The version that a JSON body asks for, whatever else is wrong with it; None if it names none."""
    try:
        return _only_version.decode(body).version
    except _NOT_QUITE:
        return None


class JsonReader:
    """Reads JSON bodies for one signature. Threads may share it."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self._rows = RowReader(signature, refuse_extra=refuse_extra)
        self._main = (signature.main.name,)
        self._decode = _compile(signature)
        self._pack = _packer_of(signature)

    def read(self, body: bytes) -> PredictBody:
        """Everything that a body says.

        Raises:
            MalformedJson, MalformedRequest, InvalidInput, InputMismatch: it cannot be answered; says why.
        """
        try:
            return self._read_fitting(body)
        except _NOT_QUITE:
            return self.read_generally(body)

    def _read_fitting(self, body: bytes) -> PredictBody:
        asked = self._decode(body)
        row = asked.input
        if row is UNSET:
            rows = _uniform(asked.inputs)
            read = ReadRows(self._pack(rows), len(rows))
            return PredictBody(read, False, asked.version, asked.outputs, asked.key)
        if asked.inputs is not UNSET:
            raise TypeError
        read = ReadRows(self._pack((row if type(row) is tuple else astuple(row),)), 1)
        return PredictBody(read, True, asked.version, asked.outputs, asked.key)

    def read_generally(self, body: bytes) -> PredictBody:
        """As `read`, without what was compiled: the same, only slower, and it knows what is wrong."""
        asked = _decode_generally(body)
        read = self._rows.read(asked.rows())
        outputs = self._main if asked.outputs is None else asked.outputs
        return PredictBody(read, asked.single, asked.version, outputs, asked.key)


def _decode_generally(body: bytes) -> PredictRequest:
    try:
        return decode_json_as(_general, body)
    except InvalidInput as error:
        if any(fault.pointer for fault in error.errors):
            raise
        raise InvalidInput(f"{error}; {_SEND}", error.errors) from error  # a bare row, say


def _uniform(rows: Any) -> Sequence[Values]:
    """The rows as tuples, if they are all objects or all arrays. A mixture fails in one way or another."""
    if not rows:
        raise TypeError
    return rows if type(rows[0]) is tuple else list(map(astuple, rows))


def _compile(signature: Signature) -> Callable[[bytes], Any]:
    """The decoder of bodies that fit; one that takes nothing where none can be made."""
    if len(signature.inputs) > MAX_COMPILED_COLUMNS:
        return _take_nothing
    types = [decoded_type(column, signature.layout) for column in signature.inputs]
    try:
        row = _row_type(signature.inputs, types)
    except ValueError:  # names that need escapes in JSON, or stand for two columns
        return _take_nothing
    return msgspec.json.Decoder(
        _body_type(row | GenericAlias(tuple, tuple(types)), (signature.main.name,))
    ).decode


def decoded_type(column: Column, layout: Layout) -> Any:
    """What a decoder takes for a value of the column without asking the rules for single ones."""
    if layout is not Layout.TENSORS:
        return _TYPES[travels_as(column, layout)]
    return array_type(column, _TYPES_IN_ARRAYS.get(column.datatype, _TYPES[column.datatype]))


def _take_nothing(_: bytes) -> Any:
    raise TypeError


def _row_type(columns: Sequence[Column], types: Sequence[Any]) -> Any:
    """A struct whose fields f0, f1, … are the columns."""
    names = {f"f{at}": column.name for at, column in enumerate(columns)}
    return msgspec.defstruct(
        "Row",
        list(zip(names, types, strict=True)),
        rename=names,
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _body_type(row: Any, main: tuple[str]) -> type[msgspec.Struct]:
    fields = [
        ("input", row | UnsetType, UNSET),
        ("inputs", list[row] | UnsetType, UNSET),
        ("version", VersionNumber | None, None),
        ("outputs", OutputNames, main),
        ("key", StickyKey | None, None),
    ]
    return msgspec.defstruct("Body", fields, forbid_unknown_fields=True, frozen=True, gc=False)


def _packer_of(signature: Signature) -> Callable[[Sequence[Values]], bytes]:
    match signature.layout:
        case Layout.MATRIX:
            return _matrix_packer(signature)
        case Layout.TENSORS:
            return _tensor_packer(signature)
    return _Table(signature)


def _tensor_packer(signature: Signature) -> Callable[[Sequence[Values]], bytes]:
    columns = signature.inputs

    def pack_rows(rows: Sequence[Values]) -> bytes:
        check_size(columns, len(rows))
        return b"".join(
            [
                pack_column(column.datatype, flat(values, len(column.shape)))
                for column, values in zip(columns, zip(*rows, strict=True), strict=True)
            ]
        )

    return pack_rows


def _matrix_packer(signature: Signature) -> Callable[[Sequence[Values]], bytes]:
    pack = struct.Struct(f"<{len(signature.inputs)}d").pack

    def pack_rows(rows: Sequence[Values]) -> bytes:
        try:
            return pack(*rows[0]) if len(rows) == 1 else b"".join([pack(*row) for row in rows])
        except struct.error:  # a null
            return b"".join([pack(*map(_missing_as_nan, row)) for row in rows])

    return pack_rows


class _Table:
    """Packs rows as a table: column by column."""

    def __init__(self, signature: Signature) -> None:
        self._floats = [at for at, column in enumerate(signature.inputs) if column.datatype is Datatype.FP64]
        self._singles = [at for at, column in enumerate(signature.inputs) if column.datatype is Datatype.FP32]

    def __call__(self, rows: Sequence[Values]) -> bytes:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for at in self._floats:
            if None in columns[at]:
                columns[at] = [_missing_as_nan(value) for value in columns[at]]
        for at in self._singles:
            columns[at] = list(map(as_single, columns[at]))
        return encode(columns)


def _missing_as_nan(value: Any) -> Any:
    return math.nan if value is None else value
