"""Single rules for values, where formats differ in what they can say."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.catalog.verdict import Datatype, Layout, Signature
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.predictions.arrow_values import can_fit, coerced
from shared.predictions.body import BodyReader
from shared.predictions.numbers import write_json
from shared.predictions.rows import InputMismatch
from tests.fixtures.formats import arrow_stream
from tests.unit.signatures import churn, iris, signature
from tests.unit.test_job_inputs import csv_input, parquet_input, rows_of
from workers.host.protocol import Predict, encode
from workers.host.rows import RowReader

FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


def csv_values(datatype: Datatype, *fields: str) -> list[Any]:
    content = "n,x\n" + "".join(f"{at},{field}\n" for at, field in enumerate(fields))
    return [row["x"] for row in rows_of(csv_input(content, {"x": datatype}))]


def test_a_whole_number_in_csv_keeps_its_digits_whatever_stands_in_other_rows():
    ids = csv_values(Datatype.INT64, "9007199254740993", "3.0", "-9223372036854775808", "1e3", "+5", "0x10")

    assert ids == [9007199254740993, 3, -(2**63), 1000, 5, 16]


def test_true_and_false_are_numbers_in_csv_where_numbers_are_wanted():
    assert csv_values(Datatype.INT64, "true", "False", "7") == [1, 0, 7]
    assert csv_values(Datatype.FP64, "TRUE", "0.5") == [1.0, 0.5]


def test_a_missing_value_in_csv_may_stand_in_quotes_where_no_text_is_wanted():
    assert csv_values(Datatype.INT64, '""', '"NA"', "1") == [None, None, 1]
    assert csv_values(Datatype.BOOL, '""', "0") == [None, False]
    assert csv_values(Datatype.BYTES, '""', '"NA"', "NA", "") == ["", "NA", None, None]


@pytest.mark.parametrize(
    ("datatype", "field", "says"),
    [
        (Datatype.INT64, "9223372036854775808", "'9223372036854775808' does not fit: too large for INT64"),
        (Datatype.INT64, "1e17", "'1e17' does not fit: as a float it is not exact beyond 2**53"),
        (Datatype.INT64, "3.5", "'3.5' is not a whole number"),
        (Datatype.FP32, "1e39", "'1e39' does not fit: too large for FP32"),
        (Datatype.BOOL, "2", "'2' is not true or false"),
    ],
)
def test_a_csv_field_that_does_not_fit_is_told_why(datatype: Datatype, field: str, says: str):
    with pytest.raises(UnreadableInput) as refused:
        csv_values(datatype, "1", field)

    assert says in str(refused.value)
    assert (refused.value.row, refused.value.column) == (1, "x")


NOON = dt.datetime(2026, 1, 31, 12, 0, 0, 500_000)  # noqa: DTZ001  columns may have no time zone


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([NOON], pa.timestamp("us")), "2026-01-31T12:00:00.5"),
        (pa.array([NOON], pa.timestamp("ns")), "2026-01-31T12:00:00.5"),
        (pa.array([NOON.replace(microsecond=0)], pa.timestamp("s")), "2026-01-31T12:00:00"),
        (pa.array([NOON.replace(microsecond=0)], pa.timestamp("ns")), "2026-01-31T12:00:00"),
        (pa.array([NOON], pa.timestamp("us", "Europe/Berlin")), "2026-01-31T12:00:00.5Z"),
        (pa.array([NOON.date()]), "2026-01-31"),
        (pa.array([NOON.date()], pa.date64()), "2026-01-31"),
        (pa.array([dt.time(7, 30)], pa.time64("us")), "07:30:00"),
    ],
)
def test_a_moment_is_the_same_text_whatever_counts_it(column: pa.Array, text: str):
    assert coerced(column, Datatype.BYTES).to_pylist() == [text]
    assert not can_fit(column.type, Datatype.FP64)


def test_moments_reach_the_model_as_text_from_arrow_and_parquet():
    day = pa.array([dt.date(2026, 1, 31), None])
    made = signature({"day": Datatype.BYTES}, layout=Layout.TABLE)

    read = BodyReader(made).read_arrow(arrow_stream(pa.table({"day": day})))

    assert msgspec.msgpack.decode(read.rows.body) == [["2026-01-31", None]]
    assert [row["day"] for row in rows_of(parquet_input({"day": day}, {"day": Datatype.BYTES}))] == [
        "2026-01-31",
        None,
    ]


def test_a_moment_where_a_number_is_wanted_is_refused_with_its_type():
    day = pa.array([dt.date(2026, 1, 31)])

    with pytest.raises(ColumnsDoNotFit, match=r"'x' has the type date32\[day\].* takes a number"):
        parquet_input({"x": day}, {"x": Datatype.FP64})


def test_a_decimal_is_the_float_nearest_to_it_or_a_whole_number_to_the_digit():
    decimals = pa.array([Decimal("123456789.123456789"), Decimal("0.1"), None])
    whole = pa.array([Decimal("9007199254740993.00"), None])

    assert coerced(decimals, Datatype.FP64).to_pylist() == [123456789.123456789, 0.1, None]
    assert coerced(whole, Datatype.INT64).to_pylist() == [9007199254740993, None]
    with pytest.raises(UnreadableInput, match=r"Decimal\('1.5'\) is not a whole number"):
        rows_of(parquet_input({"x": pa.array([Decimal("1.5")])}, {"x": Datatype.INT64}))


def test_unsigned_numbers_beyond_64_bits_are_told_to_be_too_large():
    with pytest.raises(UnreadableInput, match="18446744073709551615 does not fit: too large for INT64"):
        rows_of(parquet_input({"x": pa.array([2**64 - 1], pa.uint64())}, {"x": Datatype.INT64}))


def test_json_spells_what_it_has_no_numbers_for():
    row = FLOWER | {"sepal_length": "Infinity", "sepal_width": "-Infinity", "petal_width": "NaN"}

    read = BodyReader(iris()).read_json(msgspec.json.encode({"input": row}))

    np.testing.assert_array_equal(np.frombuffer(read.rows.body), [np.inf, -np.inf, 1.4, np.nan])


class Answer(msgspec.Struct):
    prediction: Any
    text: str = "null"


def test_answers_spell_it_alike():
    answer = write_json(Answer([1.5, float("inf"), [float("-inf"), float("nan")]]))

    assert msgspec.json.decode(answer) == {
        "prediction": [1.5, "Infinity", ["-Infinity", None]],
        "text": "null",
    }


def test_numbers_of_a_tensor_as_json_are_what_its_datatype_holds():
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [0.1, None, 1, 2, 3, 4, 5, "NaN"]}

    read = BodyReader(iris()).read_json(msgspec.json.encode({"inputs": [tensor]}))

    expected = [np.float32(0.1), np.nan, 1, 2, 3, 4, 5, np.nan]
    np.testing.assert_array_equal(np.frombuffer(read.rows.body), expected)


@pytest.mark.parametrize(("datatype", "number"), [("UINT8", 256), ("INT64", 2**63), ("FP16", 1e6)])
def test_a_number_that_its_tensor_cannot_hold_is_refused(datatype: str, number: float):
    tensor = {"name": "x", "shape": [1, 4], "datatype": datatype, "data": [number, 1, 2, 3]}

    with pytest.raises(Exception, match=f"a number is too large for {datatype}"):
        BodyReader(iris()).read_json(msgspec.json.encode({"inputs": [tensor]}))


def strict(made: Signature) -> BodyReader:
    return BodyReader(made, refuse_extra=True)


def test_extra_columns_are_refused_where_the_owner_wants_that_and_named():
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [1]} for name in [*FLOWER, "colour", "id"]
    ]
    bodies = [
        lambda: strict(iris()).read_json(msgspec.json.encode({"inputs": [FLOWER, FLOWER | {"colour": 1}]})),
        lambda: strict(iris()).read_json(msgspec.json.encode({"inputs": tensors})),
        lambda: strict(iris()).read_arrow(
            arrow_stream(pa.table({name: [1.0] for name in [*FLOWER, "colour"]}))
        ),
    ]

    refusals = []
    for body in bodies:
        with pytest.raises(InputMismatch, match="refuse columns") as refused:
            body()
        refusals.append([(error.column, error.row) for error in refused.value.errors])

    assert refusals == [[("colour", 1)], [("colour", None), ("id", None)], [("colour", None)]]
    assert strict(iris()).read_json(msgspec.json.encode({"input": FLOWER})).rows.rows == 1


def test_a_job_that_refuses_extra_columns_takes_those_that_it_is_to_carry():
    content = "id,x,colour\n1,2,red\n"
    carried = csv_input(content, {"x": Datatype.FP64}, refuse_extra=True, output_columns=["id", "colour"])

    assert rows_of(carried) == [{"x": 2.0}]
    with pytest.raises(ColumnsDoNotFit, match="refuse columns that it does not take: 'colour'") as refused:
        csv_input(content, {"x": Datatype.FP64}, refuse_extra=True, output_columns=["id"])
    assert refused.value.column == "colour"


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63)])
def test_a_host_refuses_whole_numbers_that_a_missing_one_beside_them_would_change(number: int):
    made = signature({"x": Datatype.INT64}, layout=Layout.TABLE)
    reader = RowReader(made, frozenset())
    listed = encode([[number, None]])
    stream = arrow_stream(pa.table({"x": pa.array([number, None])}))

    for kind, source in (("columns", listed), ("arrow", stream)):
        call = Predict(1, 2, ["label"], kind, 0, False, len(source), False, 0, 0)
        with pytest.raises(ValueError, match=r"'x' has missing values, .* beyond 2\*\*53"):
            reader.read(call, memoryview(source))


def test_numbers_are_no_text_and_text_is_no_number_even_by_dictionary():
    coded = pa.array(["1", "2"]).dictionary_encode()

    assert not can_fit(coded.type, Datatype.FP64)
    assert not can_fit(pa.int64(), Datatype.BYTES)
    with pytest.raises(InputMismatch) as refused:
        BodyReader(churn()).read_json(b'{"input": {"plan": 7, "age": "41", "spend": "9.5", "active": 1}}')
    assert [error.column for error in refused.value.errors] == ["plan", "age", "spend", "active"]
