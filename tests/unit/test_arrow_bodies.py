"""Arrow IPC streams as bodies of predict requests, honest and hostile."""

import math
import struct
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog.verdict import Datatype
from shared.errors import CallerError, TooLarge, UnsupportedFormat
from shared.predictions.arrow_reader import ArrowReader, MalformedArrow
from shared.predictions.body import BodyReader
from shared.predictions.rows import InputMismatch
from tests.unit.signatures import IRIS, churn, iris, signature

COMPRESSIONS = [None, "lz4", "zstd"]
FLOWERS = pa.table({name: [5.1 + at, 6.7 + at] for at, name in enumerate(IRIS)})
CUSTOMERS = pa.table(
    {
        "active": [True, None, False],
        "plan": pa.array(["gold", None, "größer"]).dictionary_encode(),
        "age": pa.array([41, 42, None], pa.int16()),
        "spend": [9.5, None, math.nan],
    }
)


def stream(table: pa.Table, compression: str | None = None, *, batch_rows: int | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_columns_feed_the_model_by_name_whatever_their_order(compression):
    shuffled = FLOWERS.select(IRIS[::-1])

    read = BodyReader(iris()).read_arrow(stream(shuffled, compression))

    assert struct.unpack("<8d", read.rows.body) == (5.1, 6.1, 7.1, 8.1, 6.7, 7.7, 8.7, 9.7)
    assert (read.rows.rows, read.rows.warnings, read.single) == (2, (), False)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_table_is_read_with_its_dictionary_and_its_nulls(compression):
    read = BodyReader(churn()).read_arrow(stream(CUSTOMERS, compression))

    plan, age, spend, active = msgspec.msgpack.decode(read.rows.body)
    assert (plan, age, active) == (["gold", None, "größer"], [41, 42, None], [True, None, False])
    assert spend[0] == 9.5
    assert math.isnan(spend[1])
    assert math.isnan(spend[2])


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint32(), pa.int64(), pa.float16(), pa.float32(), pa.bool_(), pa.decimal128(30, 2)]
)
def test_every_kind_of_number_widens_to_a_float(kind):
    table = pa.table({name: pa.array([1, 0, None]).cast(kind) for name in IRIS})

    read = BodyReader(iris()).read_arrow(stream(table))

    values = struct.unpack("<12d", read.rows.body)
    assert values[:8] == (1.0,) * 4 + (0.0,) * 4
    assert all(map(math.isnan, values[8:]))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_kind_of_text_is_text(kind):
    plans = ["gold", None, "a text that is longer than twelve bytes"]
    table = CUSTOMERS.set_column(1, "plan", pa.array(plans).cast(kind))

    read = BodyReader(churn()).read_arrow(stream(table))

    assert msgspec.msgpack.decode(read.rows.body)[0] == plans


def test_whole_numbers_may_come_as_floats_with_nan_for_missing():
    table = CUSTOMERS.set_column(2, "age", pa.array([41.0, math.nan, None]))

    read = BodyReader(churn()).read_arrow(stream(table))

    assert msgspec.msgpack.decode(read.rows.body)[1] == [41, None, None]


def test_batches_follow_one_another():
    rows = pa.table({name: np.arange(10.0) for name in IRIS})
    reader = BodyReader(iris())

    read = reader.read_arrow(stream(rows, batch_rows=3))

    assert read.rows == reader.read_arrow(stream(rows)).rows
    assert read.rows.rows == 10


def test_a_model_without_names_takes_the_columns_in_order_and_says_so():
    reader = BodyReader(signature(dict.fromkeys(["x0", "x1"], Datatype.FP64), named=False))

    read = reader.read_arrow(stream(pa.table({"width": [1.0], "height": [2.0]})))

    assert struct.unpack("<2d", read.rows.body) == (1.0, 2.0)
    assert "the order given" in read.rows.warnings[0]


def test_columns_that_the_model_does_not_know_are_ignored_with_a_warning():
    nested = FLOWERS.append_column("nested", pa.array([[{"a": 1}], None]))

    read = BodyReader(iris()).read_arrow(stream(nested, "zstd"))

    assert read.rows.rows == 2
    assert read.rows.warnings == ("not inputs of the model, and ignored: 'nested'",)


def refusal(reader: BodyReader, table: pa.Table) -> list[tuple]:
    with pytest.raises(InputMismatch) as caught:
        reader.read_arrow(stream(table))
    return [(error.column, error.row, error.message) for error in caught.value.errors]


def test_missing_columns_are_named():
    assert refusal(BodyReader(iris()), FLOWERS.select(IRIS[:3])) == [("petal_width", None, "missing")]


def test_a_name_that_stands_for_two_columns_is_refused():
    doubled = FLOWERS.append_column("petal_width", pa.array([1.0, 2.0]))

    assert refusal(BodyReader(iris()), doubled) == [("petal_width", None, "sent 2 times")]


def test_a_column_of_the_wrong_type_is_named_with_both():
    text = FLOWERS.set_column(3, "petal_width", pa.array(["wide", "wider"]))
    times = FLOWERS.set_column(3, "petal_width", pa.array([1, 2]).cast(pa.timestamp("us")))
    numbers = CUSTOMERS.set_column(1, "plan", pa.array([1, 2, 3]))

    assert refusal(BodyReader(iris()), text) == [("petal_width", None, "expected numbers, got string")]
    assert refusal(BodyReader(iris()), times) == [
        ("petal_width", None, "expected numbers, got timestamp[us]")
    ]
    assert refusal(BodyReader(churn()), numbers)[0] == ("plan", 0, "expected text, got the number 1")


def test_a_value_that_does_not_fit_is_named_with_its_row():
    table = CUSTOMERS.set_column(2, "age", pa.array([41.0, 42.5, None]))

    assert refusal(BodyReader(churn()), table) == [("age", 1, "expected a whole number, got the number 42.5")]


def test_no_rows_are_refused():
    with pytest.raises(InputMismatch, match="at least one"):
        BodyReader(iris()).read_arrow(stream(FLOWERS.slice(0, 0)))


def test_options_come_with_the_query():
    read = BodyReader(iris()).read(
        b"application/vnd.apache.arrow.stream",
        None,
        stream(FLOWERS),
        b"version=3&outputs=label,probabilities&key=a%20b",
    )

    assert (read.version, read.outputs, read.key) == (3, ("label", "probabilities"), "a b")


@pytest.mark.parametrize(
    "query", [b"version=0", b"version=x", b"outputs=" + b"a," * 17, b"key=" + b"k" * 257]
)
def test_options_that_do_not_fit_are_refused(query):
    with pytest.raises(CallerError, match="query"):
        BodyReader(iris()).read(b"application/vnd.apache.arrow.stream", None, stream(FLOWERS), query)


@pytest.mark.parametrize(
    "kind", [b"text/csv", b"application/vnd.apache.arrow.file", b"multipart/form-data; x"]
)
def test_a_content_type_that_is_not_read_is_refused_with_what_is(kind):
    with pytest.raises(UnsupportedFormat, match="arrow"):
        BodyReader(iris()).read(kind, None, b"x")


@pytest.mark.parametrize("body", [b"", b"PAR1", b"\xff\xff\xff\xff", b'{"input": []}', stream(FLOWERS)[:-60]])
def test_what_is_no_stream_is_refused(body):
    with pytest.raises((MalformedArrow, InputMismatch)):
        BodyReader(iris()).read_arrow(body)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_small_body_that_unpacks_to_very_much_is_refused_before_it_is_unpacked(compression):
    zeros = pa.table({name: np.zeros(5_000_000) for name in IRIS})
    body = stream(zeros, compression)
    held = pa.total_allocated_bytes()

    with pytest.raises(TooLarge, match="134217728 bytes"):
        BodyReader(iris()).read_arrow(body)

    assert len(body) < 2**20
    assert pa.total_allocated_bytes() <= held


def test_one_long_text_that_every_row_refers_to_is_refused():
    plan = pa.DictionaryArray.from_arrays(np.zeros(10_000, np.int8), ["x" * 100_000])
    numbers = np.zeros(10_000)
    table = pa.table({"plan": plan, "age": numbers, "spend": numbers, "active": numbers > 0})

    with pytest.raises(TooLarge):
        BodyReader(churn()).read_arrow(stream(table))


def test_very_many_tiny_batches_are_refused():
    with pytest.raises(TooLarge, match="4096 messages"):
        BodyReader(iris()).read_arrow(stream(pa.table({n: np.zeros(5000) for n in IRIS}), batch_rows=1))


def test_threads_share_a_reader():
    reader = BodyReader(churn())
    body = stream(CUSTOMERS, "zstd")

    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(reader.read_arrow, [body] * 64))

    assert {each.rows.body for each in read} == {reader.read_arrow(body).rows.body}


HONEST = [stream(table, kind, batch_rows=2) for table in (FLOWERS, CUSTOMERS) for kind in COMPRESSIONS]
READERS = [ArrowReader(iris()), ArrowReader(churn())]
LIES = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63), 2**63 - 1]) | st.integers(
    -100, 9999
)
EDITS = st.tuples(
    st.integers(0, 4095), st.binary(min_size=1, max_size=8) | LIES.map(struct.Struct("<q").pack)
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HONEST), st.lists(EDITS, min_size=1, max_size=4), st.sampled_from(READERS))
def test_a_stream_that_lies_is_refused_or_read_and_nothing_worse(body, edits, reader):
    hostile = bytearray(body)
    for at, lie in edits:
        start = at % len(body) // 4 * 4
        hostile[start : start + len(lie)] = lie

    try:
        read = reader.read(bytes(hostile))
    except CallerError:
        return
    assert read.rows.rows > 0
