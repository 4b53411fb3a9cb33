"""Which predictions count as the same: equal rows do, in whatever form they were sent."""

import json
import math
import struct

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.predictions.body import BodyReader
from shared.predictions.cache_key import canonical
from shared.predictions.rows import ReadRows
from tests.unit.signatures import CHURN, IRIS, churn, iris

ARTIFACT = "b1946ac92492d2347c6235b4d2611184"
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FLOWER = st.lists(FLOATS | st.none(), min_size=4, max_size=4)
CUSTOMER = st.tuples(
    st.text(max_size=5) | st.none(),
    st.integers(-(2**63), 2**63 - 1) | st.none(),
    FLOATS | st.none(),
    st.booleans() | st.none(),
)


def key_of(rows: ReadRows) -> bytes:
    return canonical(rows, ("label",), ARTIFACT)


def arrow_stream(names: list[str], rows: list, types: list[pa.DataType]) -> bytes:
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
    sink = pa.BufferOutputStream()
    table = pa.table(dict(zip(names, columns, strict=True)))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def keys_of_forms(reader: BodyReader, names: list[str], rows: list, types: list[pa.DataType]) -> set[bytes]:
    """The keys of the same rows as JSON objects, as JSON arrays and as Arrow."""
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    backwards = [dict(reversed(row.items())) for row in objects]
    bodies = [
        json.dumps({"inputs": given}).encode() for given in (objects, backwards, [list(row) for row in rows])
    ]
    read = [reader.read_json(body) for body in bodies]
    return {key_of(body.rows) for body in [*read, reader.read_arrow(arrow_stream(names, rows, types))]}


@settings(max_examples=100, deadline=None)
@given(st.lists(FLOWER, min_size=1, max_size=4))
def test_equal_numbers_have_one_key_in_json_arrow_and_v2(rows):
    reader = BodyReader(iris())
    matrix = np.array([[math.nan if v is None else v for v in row] for row in rows])
    shape = list(matrix.shape)
    tensor = {
        "name": "x",
        "shape": shape,
        "datatype": "FP64",
        "parameters": {"binary_data_size": matrix.nbytes},
    }
    header = msgspec.json.encode({"inputs": [tensor]})
    flat = {"name": "x", "shape": shape, "datatype": "FP64", "data": [v for row in rows for v in row]}

    keys = keys_of_forms(reader, IRIS, rows, [pa.float64()] * 4)
    keys.add(key_of(reader.read_v2(header + matrix.tobytes(), len(header)).rows))
    keys.add(key_of(reader.read_json(msgspec.json.encode({"inputs": [flat]})).rows))

    assert len(keys) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(CUSTOMER, min_size=1, max_size=4))
def test_equal_tables_have_one_key_in_json_arrow_and_v2(rows):
    reader = BodyReader(churn())
    kinds = {"BYTES": pa.string(), "INT64": pa.int64(), "FP64": pa.float64(), "BOOL": pa.bool_()}
    columns = zip(CHURN.items(), zip(*rows, strict=True), strict=True)
    tensors = [
        {"name": name, "shape": [len(rows), 1], "datatype": datatype, "data": values}
        for (name, datatype), values in columns
    ]

    keys = keys_of_forms(reader, list(CHURN), rows, [kinds[datatype] for datatype in CHURN.values()])
    keys.add(key_of(reader.read_json(msgspec.json.encode({"inputs": tensors})).rows))

    assert len(keys) == 1


def test_one_row_alone_is_the_same_question_as_a_list_of_it():
    reader = BodyReader(iris())

    alone, listed = (
        reader.read_json(b'{"input": [1, 2, 3, 4]}'),
        reader.read_json(b'{"inputs": [[1.0, 2, 3, 4]]}'),
    )

    assert key_of(alone.rows) == key_of(listed.rows)


def test_every_nan_is_the_same_one():
    quiet, negative, payload = (
        struct.pack("<Q", bits) for bits in (0x7FF8 << 48, 0xFFF8 << 48, (0x7FF8 << 48) + 7)
    )
    types = [pa.float64()] * 4
    streams = [
        arrow_stream(IRIS, [np.frombuffer(nan * 4, "<f8")], types) for nan in (quiet, negative, payload)
    ]

    assert len({key_of(BodyReader(iris()).read_arrow(stream).rows) for stream in streams}) == 1


def test_negative_zero_is_another_number():
    reader = BodyReader(iris())

    keys = {
        key_of(reader.read_json(b'{"input": [1, 2, 3, %s]}' % zero).rows) for zero in (b"0", b"0.0", b"-0.0")
    }

    assert len(keys) == 2


@pytest.mark.parametrize(
    "other",
    [
        (ReadRows(b"12345678", 1), ("label",), ARTIFACT + "0"),
        (ReadRows(b"12345678", 1), ("label", "probabilities"), ARTIFACT),
        (ReadRows(b"12345678", 2), ("label",), ARTIFACT),
        (ReadRows(b"12345679", 1), ("label",), ARTIFACT),
    ],
)
def test_another_artifact_output_or_row_is_another_question(other):
    assert canonical(*other) != canonical(ReadRows(b"12345678", 1), ("label",), ARTIFACT)


def test_a_warning_does_not_make_another_question():
    assert key_of(ReadRows(b"12345678", 1, ("told",))) == key_of(ReadRows(b"12345678", 1))
