"""What rows of a JSON request become, and what their sender is told when they do not fit."""

import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.predictions.rows import InputMismatch, RowReader

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def signature(
    columns: dict[str, Datatype], *, named: bool = True, layout: Layout = Layout.MATRIX
) -> Signature:
    return Signature(
        inputs=[Column(name=name, datatype=datatype) for name, datatype in columns.items()],
        named=named,
        layout=layout,
        outputs=[Output(name="label", datatype=Datatype.INT64)],
    )


@pytest.fixture
def iris() -> RowReader:
    return RowReader(signature(dict.fromkeys(IRIS, Datatype.FP64)))


@pytest.fixture
def bare() -> RowReader:
    return RowReader(signature(dict.fromkeys(["x0", "x1"], Datatype.FP64), named=False))


@pytest.fixture
def churn() -> RowReader:
    columns = {"plan": Datatype.BYTES, "age": Datatype.INT64, "spend": Datatype.FP64, "active": Datatype.BOOL}
    return RowReader(signature(columns, layout=Layout.TABLE))


def test_named_values_stand_in_the_models_order_whatever_the_requests(iris):
    row = {"petal_width": 0.2, "petal_length": 1.4, "sepal_width": 3.5, "sepal_length": 5.1}

    read = iris.read([row])

    assert read.body == struct.pack("<4d", 5.1, 3.5, 1.4, 0.2)
    assert (read.rows, read.warnings) == (1, ())


def test_rows_may_be_arrays_in_the_models_order(iris):
    read = iris.read([[5.1, 3.5, 1.4, 0.2], [1, 2, 3, 4]])

    assert read.body == struct.pack("<8d", 5.1, 3.5, 1.4, 0.2, 1, 2, 3, 4)
    assert read.rows == 2


def test_a_null_is_a_missing_number(iris):
    values = struct.unpack("<4d", iris.read([[5.1, None, 1.4, 0.2]]).body)

    assert math.isnan(values[1])


def test_a_model_without_column_names_takes_values_in_the_order_given_and_says_so(bare):
    read = bare.read([{"width": 1.0, "height": 2.0}, {"height": 4.0, "width": 3.0}])

    assert read.body == struct.pack("<4d", 1.0, 2.0, 3.0, 4.0)
    assert "the order given" in read.warnings[0]


def test_a_model_without_column_names_knows_the_names_we_gave_it(bare):
    read = bare.read([{"x1": 2.0, "x0": 1.0}])

    assert read.body == struct.pack("<2d", 1.0, 2.0)
    assert read.warnings == ()


def test_columns_that_the_model_does_not_know_are_ignored_with_a_warning(iris):
    row = dict(zip(IRIS, [1, 2, 3, 4], strict=True)) | {"colour": "red"}

    read = iris.read([row])

    assert read.body == struct.pack("<4d", 1, 2, 3, 4)
    assert read.warnings == ("not inputs of the model, and ignored: 'colour'",)


def test_a_table_travels_by_column_with_whole_floats_as_integers(churn):
    read = churn.read(
        [
            {"plan": "gold", "age": 41, "spend": 9, "active": True},
            {"plan": None, "age": 42.0, "spend": None, "active": None},
        ]
    )

    plan, age, spend, active = msgspec.msgpack.decode(read.body)
    assert (plan, age, active) == (["gold", None], [41, 42], [True, None])
    assert spend[0] == 9.0
    assert math.isnan(spend[1])


def faults(reader: RowReader, rows: list) -> list[tuple]:
    with pytest.raises(InputMismatch) as caught:
        reader.read(rows)
    return [(fault.row, fault.column, fault.message) for fault in caught.value.errors]


def test_every_missing_column_is_named_with_its_row(iris):
    complete = dict.fromkeys(IRIS, 1.0)
    row = {"sepal_length": 1.0, "petal_width": 1.0}

    assert faults(iris, [complete, row]) == [(1, "sepal_width", "missing"), (1, "petal_length", "missing")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("five", "expected a number, got the text 'five'"),
        ([1], "expected a number, got an array"),
        ({}, "expected a number, got an object"),
        (10**400, "too large for FP64"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_column_and_row(iris, value, message):
    assert faults(iris, [[1, 2, 3, 4], [1, 2, value, 4]]) == [(1, "petal_length", message)]


def test_each_column_of_a_table_says_what_it_wants(churn):
    row = {"plan": 3, "age": 1.5, "spend": "much", "active": 1}

    assert faults(churn, [row]) == [
        (0, "plan", "expected text, got the number 3"),
        (0, "age", "expected a whole number, got the number 1.5"),
        (0, "spend", "expected a number, got the text 'much'"),
        (0, "active", "expected true or false, got the number 1"),
    ]


def test_an_array_of_the_wrong_length_is_told_with_what_was_expected(iris):
    [(row, _, message)] = faults(iris, [[1, 2, 3, 4], [1, 2]])

    assert row == 1
    assert message.startswith("expected 4 values (sepal_length, sepal_width")


@pytest.mark.parametrize(
    "rows", [[{}], [[]], [5], ["text"], [None], [[1, 2, 3, 4], {"a": 1}], [{"a": 1}, [1]]]
)
def test_whatever_is_no_row_is_a_mismatch_and_nothing_worse(iris, rows):
    with pytest.raises(InputMismatch):
        iris.read(rows)


def test_no_rows_at_all_are_refused(iris):
    with pytest.raises(InputMismatch, match="at least one row"):
        iris.read([])


def test_not_more_faults_are_told_than_a_person_reads(iris):
    assert len(faults(iris, [["no"] * 4] * 1000)) == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), st.sampled_from([True, False]), st.sampled_from(list(Layout)))
def test_any_json_is_read_or_refused(rows, named, layout):
    columns = {"a": Datatype.FP64, "b": Datatype.FP64}
    reader = RowReader(signature(columns, named=named, layout=layout))

    try:
        read = reader.read(rows)
    except InputMismatch:
        return
    assert read.rows == len(rows)
