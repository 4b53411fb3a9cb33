"""Columns of several files in one output: one type for each, or a refusal that says which file and column."""

import pyarrow as pa
import pytest

from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from workers.jobs.common_columns import CommonColumns, as_common


def common_of(*schemas: pa.Schema, may_lack: bool = False) -> pa.Schema:
    columns = CommonColumns(may_lack=may_lack)
    for at, schema in enumerate(schemas):
        columns.add(schema, file_name=f"file-{at}")
    return pa.ipc.read_schema(pa.py_buffer(columns.serialised()))


def one(type_: pa.DataType) -> pa.Schema:
    return pa.schema([("x", type_)])


TEXTS = pa.dictionary(pa.int8(), pa.string())


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.null(), pa.string(), pa.string()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (TEXTS, TEXTS, TEXTS),
        (TEXTS, pa.string(), pa.string()),
        (TEXTS, pa.dictionary(pa.int32(), pa.large_string()), pa.large_string()),
        (pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("ns")),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.int64())),
    ],
)
def test_a_column_is_as_wide_as_any_file_has_it(first: pa.DataType, second: pa.DataType, common: pa.DataType):
    assert common_of(one(first), one(second)).field("x").type == common
    assert common_of(one(second), one(first)).field("x").type == common


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.int64(), pa.string()),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.bool_(), pa.int8()),
        (pa.list_(pa.int64()), pa.int64()),
        (pa.struct([("a", pa.int64())]), pa.string()),
    ],
)
def test_types_with_nothing_in_common_are_refused(first: pa.DataType, second: pa.DataType):
    with pytest.raises(ColumnsDoNotFit, match="'x' has the type") as refusal:
        common_of(one(first), one(second))

    assert refusal.value.column == "x"


def test_what_files_note_beside_their_columns_is_left_behind():
    noted = pa.schema([pa.field("x", pa.int64(), nullable=False, metadata={"id": "1"})], {"pandas": "{}"})

    common = common_of(noted, one(pa.int64()))

    assert common.equals(one(pa.int64()), check_metadata=True)


def test_the_order_is_that_of_the_first_file_and_what_may_lack_comes_behind():
    first = pa.schema([("b", pa.int64()), ("a", pa.int64())])
    second = pa.schema([("c", pa.string()), ("a", pa.int64())])

    assert common_of(first, second, may_lack=True).names == ["b", "a", "c"]
    with pytest.raises(ColumnsDoNotFit, match="lacks 'b', which 'file-0' has"):
        common_of(first, second)


def test_a_name_that_stands_for_two_columns_is_refused():
    with pytest.raises(ColumnsDoNotFit, match="more than one column 'x'"):
        common_of(pa.schema([("x", pa.int64()), ("x", pa.int64())]))


def test_a_whole_number_that_a_float_cannot_hold_is_refused_rather_than_rounded():
    rows = pa.record_batch({"x": pa.array([1, 2**53 + 1])})

    with pytest.raises(UnreadableInput, match="'x' has the type double in another file") as refusal:
        as_common(rows, one(pa.float64()))

    assert refusal.value.column == "x"
