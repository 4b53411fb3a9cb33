"""Rows as JSON objects, one a line. Values are spelled as docs/reference/values.md says."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from shared.catalog.verdict import Datatype
from shared.jobs.errors import ColumnsDoNotFit
from shared.predictions.arrow_values import coerced, is_moment, is_number, is_text, values_type

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def can_be_json(given: pa.DataType) -> bool:
    """Whether JSON can hold values of this type."""
    given = _storage(values_type(given))
    if is_list(given) or kinds.is_struct(given):
        inner = [field.type for field in given] if kinds.is_struct(given) else [given.value_type]
        return all(can_be_json(type_) and not kinds.is_dictionary(type_) for type_ in inner)
    return bool(kinds.is_null(given) or is_number(given) or is_text(given) or is_moment(given))


def refuse_doubled(names: Sequence[str]) -> None:
    """An object has each name once.

    Raises:
        ColumnsDoNotFit: a name stands for several columns.
    """
    several = [name for name, count in Counter(names).items() if count > 1]
    if several:
        raise ColumnsDoNotFit(
            f"the file has more than one column {several[0]!r}, which JSON cannot hold:"
            " leave it out of `include`, or ask for CSV or Parquet",
            column=several[0],
        )


def object_heads(columns: pa.RecordBatch | pa.Table) -> pa.Array:
    """Each row as an object, without the brace that closes it."""
    return pa.array([row[:-1] for row in _objects(columns)], pa.binary())


def object_lines(heads: pa.Array | None, columns: pa.Table) -> bytes:
    """Lines of whole objects: what is in the heads, if there are any, and then the columns."""
    objects = _objects(columns)
    if heads is None:
        return b"".join([row + b"\n" for row in objects])
    return b"".join(
        [
            head + (b"," if len(head) > 1 else b"") + row[1:] + b"\n"
            for head, row in zip(heads.to_pylist(), objects, strict=True)
        ]
    )


def json_values(column: pa.Array) -> list[Any]:
    """The values as Python has them and JSON can spell them: NaN is null, infinities are text."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_list(column.type):
        return _lists(column)
    if kinds.is_struct(column.type):
        return _structs(column)
    if is_moment(column.type):
        column = coerced(column, Datatype.BYTES)
    if kinds.is_floating(column.type):
        return _finite(column.cast(pa.float64()))
    values: list[Any] = column.to_pylist()
    return values


def _objects(columns: pa.RecordBatch | pa.Table) -> list[bytes]:
    names = columns.schema.names
    values = [json_values(_whole(column)) for column in columns.columns]
    return [_encode(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _finite(floats: pa.Array) -> list[Any]:
    values: list[Any] = floats.to_pylist()
    if pc.all(pc.is_finite(floats)).as_py() is not False:
        return values
    return [_spelled(value) for value in values]


def _spelled(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return "Infinity" if value > 0 else "-Infinity"


def _lists(column: pa.Array) -> list[Any]:
    values, at, found = json_values(column.flatten()), 0, []
    for size in pc.list_value_length(column).to_pylist():
        found.append(None if size is None else values[at : at + size])
        at += size or 0
    return found


def _structs(column: pa.Array) -> list[Any]:
    names = [field.name for field in column.type]
    fields = [json_values(field) for field in column.flatten()]
    rows = zip(*fields, strict=True) if fields else ((),) * len(column)
    valid = column.is_valid().to_pylist()
    return [
        dict(zip(names, row, strict=True)) if is_valid else None
        for row, is_valid in zip(rows, valid, strict=True)
    ]


def is_list(given: pa.DataType) -> bool:
    """Whether values of the type are lists, one behind the other."""
    return bool(kinds.is_list(given) or kinds.is_large_list(given) or kinds.is_fixed_size_list(given))


def _storage(given: pa.DataType) -> pa.DataType:
    return given.storage_type if isinstance(given, pa.BaseExtensionType) else given
