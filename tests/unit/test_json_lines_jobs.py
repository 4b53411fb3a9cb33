"""JSON Lines as the input and as the output of a job, without a model."""

import io
import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import ByteRange, FileFormat
from shared.jobs.order import Order
from tests.unit.test_job_inputs import TABLE, order, rows_of
from workers.jobs.job_input import JobInput, open_input, plan_chunks
from workers.jobs.line_cut import whole_lines

ROW = {"age": 41, "pay.rate": 1.5, "active": True, "city": "Paris"}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def jsonl(content: bytes, columns: dict[str, Datatype] = TABLE, **changes) -> JobInput:
    return open_input(io.BytesIO(content), order(FileFormat.JSONL, columns, **changes))


def output_of(job_input: JobInput, predictions: Sequence[float]) -> bytes:
    """What a job writes whose model predicts these, one after the other."""
    parts, at = [], 0
    for chunk in plan_chunks(job_input, chunk_bytes=2**20):
        sink = io.BytesIO()
        part = job_input.output().part(sink)
        for batch in job_input.batches(chunk.source, rows=2):
            values = pa.array(predictions[at : at + batch.rows], job_input.columns.predictions[0].type)
            part.write(batch, [values])
            at += batch.rows
        part.close()
        parts.append(io.BytesIO(sink.getvalue()))
    whole = io.BytesIO()
    job_input.output().join(parts, whole)
    return whole.getvalue()


def images(input_format: FileFormat = FileFormat.JSONL, **changes) -> Order:
    signature = Signature(
        inputs=[
            Column(name="image", datatype=Datatype.FP32, shape=[2, 2]),
            Column(name="n", datatype=Datatype.INT64),
        ],
        named=True,
        layout=Layout.TENSORS,
        outputs=[Output(name="label", datatype=Datatype.INT64)],
    )
    given = {"signature": signature} | changes
    return order(input_format, {"image": Datatype.FP32}, **given)


def test_values_get_the_types_of_the_model_and_gaps_stay_gaps():
    odd = {"city": None, "age": 7.0, "pay.rate": "Infinity", "active": None, "id": [1]}
    content = b"\xef\xbb\xbf" + lines(ROW) + b"\r\n  \n" + lines(odd, ROW | {"pay.rate": "NaN", "age": True})

    rows = rows_of(jsonl(content))

    assert rows[0] == ROW
    assert rows[1] == {"city": None, "age": 7, "pay.rate": float("inf"), "active": None}
    assert (np.isnan(rows[2]["pay.rate"]), rows[2]["age"]) == (True, 1)


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        (lines(ROW | {"age": 3.5}), "age", "expected a whole number, got the number 3.5"),
        (lines(ROW | {"age": 2**63}), "age", "too large for INT64"),
        (lines(ROW | {"pay.rate": "1"}), "pay.rate", "expected a number, got the text '1'"),
        (lines(ROW | {"city": 75001}), "city", "expected text, got the number 75001"),
        (lines(ROW | {"active": 1}), "active", "expected true or false, got the number 1"),
        (lines({"city": "Paris"}), "age", "missing in this row: write null"),
        (lines([41, 1.5, True, "Paris"]), None, "expected an object with the columns, got an array"),
        (b'{"age": 1,\n', None, "is not JSON .*: write an object a line"),
        (lines(ROW)[:-1] + lines(ROW), None, "is not JSON"),
        (lines(ROW).replace(b"Paris", b"Orl\xe9ans"), None, "not text in UTF-8"),
        (lines(ROW)[:-2] + b', "id": "\xe9"}\n', None, "not text in UTF-8"),
        (lines(ROW)[:-2] + b', "id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", None, "nested too deeply"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line: bytes, column: str | None, says: str):
    # Far enough down that it is not among the rows that tell the columns.
    content = lines(*[ROW] * 2000) + b"\n" + line + lines({"age": "worse"})

    with pytest.raises(UnreadableInput, match=says) as refused:
        rows_of(jsonl(content))

    assert (refused.value.row, refused.value.column) == (2000, column)


def test_missing_columns_are_told_before_anything_is_read():
    with pytest.raises(ColumnsDoNotFit, match="lacks 'city'") as refused:
        jsonl(lines({"age": 1, "pay.rate": 1, "active": True}))

    assert refused.value.column == "city"


@pytest.mark.parametrize("content", [b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_rows_has_no_columns(content: bytes):
    with pytest.raises(UnreadableInput, match="no rows"):
        jsonl(content)


def test_a_line_that_never_ends_is_refused_without_being_read_whole():
    file = io.BytesIO(b'{"age": "' + b"x" * (40 * 1024 * 1024))

    with pytest.raises(UnreadableInput, match="longer than"):
        open_input(file, order(FileFormat.JSONL, TABLE))

    assert file.tell() < 20 * 1024 * 1024


@pytest.mark.parametrize("block_bytes", [10, 40, 1000])
def test_a_line_is_too_long_however_the_file_is_read(monkeypatch: pytest.MonkeyPatch, block_bytes: int):
    monkeypatch.setattr("workers.jobs.line_cut.MAX_LINE_BYTES", 50)
    content = b"x" * 50 + b"\n" + b"y" * 51

    with pytest.raises(UnreadableInput, match="longer than"):
        list(whole_lines(io.BytesIO(content), ByteRange(0, len(content)), block_bytes=block_bytes))

    fits = list(whole_lines(io.BytesIO(content), ByteRange(0, 51), block_bytes=block_bytes))
    assert b"".join(fits) == content[:51]


def test_chunks_are_whole_lines_in_their_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workers.jobs.job_input._MIN_CHUNK_BYTES", 100)
    content = b"".join(b'{"a": %d, "note": "%s"}\n' % (at, b"x" * (at % 50)) for at in range(2000))[:-1]

    job_input = jsonl(content, {"a": Datatype.FP64})
    chunks = [chunk.source for chunk in plan_chunks(job_input, chunk_bytes=2**20)]

    assert 8 <= len(chunks) <= 9
    assert all(first.end == second.start for first, second in pairwise(chunks))
    assert [row["a"] for row in rows_of(job_input)] == list(range(2000))
    assert job_input.first_row(chunks[3]) == content[: chunks[3].start].count(b"\n")


def test_nested_lists_feed_columns_of_arrays():
    rows = [{"image": [[1, 2.5], [None, "Infinity"]], "n": 3}, {"n": 4, "image": [[0, 0], [0, 0.1]]}]

    fed = rows_of(open_input(io.BytesIO(lines(*rows)), images()))

    np.testing.assert_array_equal(
        np.array([row["image"] for row in fed], np.float32),
        np.array([[1, 2.5, np.nan, np.inf], [0, 0, 0, 0.1]], np.float32),
    )
    assert [row["n"] for row in fed] == [3, 4]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"image": [[1, 2]], "n": 1}, r"an array of shape \[2, 2\].* got 1 parts where 2"),
        ({"image": [[1, 2], [3, "x"]], "n": 1}, r"at \[1, 1\]: expected a number, got the text 'x'"),
        ({"image": None, "n": 1}, r"shape \[2, 2\].* got null"),
    ],
)
def test_an_array_of_another_shape_is_named(given: dict, says: str):
    good = {"image": [[1, 2], [3, 4]], "n": 1}

    with pytest.raises(UnreadableInput, match=says) as refused:
        rows_of(open_input(io.BytesIO(lines(good, given)), images()))

    assert (refused.value.row, refused.value.column) == (1, "image")


def test_lines_are_carried_to_the_byte_and_predictions_stand_at_their_ends():
    content = b'{"a": 1.50, "id": 12345678901234567890123}\r\n {"id": "\xc3\xa9", "a": null } \n{"a": 2}'

    written = output_of(jsonl(content, {"a": Datatype.FP64}, output_columns=None), [1, 2, 3])

    assert written.splitlines() == [
        b'{"a": 1.50, "id": 12345678901234567890123,"prediction":1}',
        b'{"id": "\xc3\xa9", "a": null ,"prediction":2}',
        b'{"a": 2,"prediction":3}',
    ]


@pytest.mark.parametrize(
    ("include", "first", "second"),
    [
        ([], {"prediction": 1}, {"prediction": 2}),
        (["id", "a"], {"a": 1, "id": [1, "x"], "prediction": 1}, {"a": 2, "prediction": 2}),
    ],
)
def test_some_columns_are_carried_by_name(include: list[str], first: dict, second: dict):
    content = lines({"a": 1, "id": [1, "x"], "note": ""}, {"a": 2})

    written = output_of(jsonl(content, {"a": Datatype.FP64}, output_columns=include), [1, 2])

    assert [json.loads(line) for line in written.splitlines()] == [first, second]


def test_a_column_of_our_name_further_down_is_refused_and_not_doubled():
    content = lines(*[{"a": 1, "note": "x" * 1000}] * 100, {"a": 2, "prediction": 0})

    with pytest.raises(UnreadableInput, match="whose name the prediction has") as refused:
        output_of(jsonl(content, {"a": Datatype.FP64}, output_columns=None), [0] * 101)

    assert (refused.value.row, refused.value.column) == (100, "prediction")


def test_columns_that_the_model_does_not_take_are_refused_where_it_is_set_so():
    content = lines(*[{"a": 1, "id": 7}] * 5000, {"a": 2, "id": 7, "typo": 0})

    with pytest.raises(ColumnsDoNotFit, match=r"refuse columns.*'id'"):
        jsonl(content, {"a": Datatype.FP64}, refuse_extra=True)
    with pytest.raises(UnreadableInput, match="refuse columns") as refused:
        rows_of(jsonl(content, {"a": Datatype.FP64}, refuse_extra=True, output_columns=["id"]))
    assert (refused.value.row, refused.value.column) == (5000, "typo")


def test_what_the_model_does_not_take_becomes_text_in_parquet_and_csv():
    content = lines({"a": 1, "id": 7, "tags": ["x"]}, {"a": None, "tags": "t,u"})
    ask = {"output_columns": None}

    table = output_of(jsonl(content, {"a": Datatype.FP64}, output_format=FileFormat.PARQUET, **ask), [1, 2])
    text = output_of(jsonl(content, {"a": Datatype.FP64}, output_format=FileFormat.CSV, **ask), [1, 2])

    assert pq.read_table(io.BytesIO(table)).to_pylist() == [
        {"a": 1.0, "id": "7", "tags": '["x"]', "prediction": 1},
        {"a": None, "id": None, "tags": "t,u", "prediction": 2},
    ]
    assert text == b'a,id,tags,prediction\n1,7,"[""x""]",1\n,,"t,u",2\n'


def test_arrays_become_lists_in_parquet():
    content = lines({"image": [[1, 2], [3, 4]], "n": 1})
    ask = images(output_format=FileFormat.PARQUET, output_columns=None)

    table = output_of(open_input(io.BytesIO(content), ask), [1])

    assert pq.read_table(io.BytesIO(table)).to_pylist() == [
        {"image": [[1, 2], [3, 4]], "n": 1, "prediction": 1}
    ]


def test_parquet_becomes_json_lines_with_its_own_types():
    file = io.BytesIO()
    pq.write_table(
        pa.table(
            {
                "a": [1.0, float("nan")],
                "inf": [float("inf"), -float("inf")],
                "when": pa.array([0, 1_500_000_000], pa.timestamp("ns", "UTC")),
                "money": pa.array([None, "12345678901234567890.12"]).cast(pa.decimal128(30, 2)),
                "tags": [[{"x": float("inf")}], None],
                "kind": pa.array(["b", "ü"]).dictionary_encode(),
            }
        ),
        file,
    )
    asked = order(
        FileFormat.PARQUET, {"a": Datatype.FP64}, output_format=FileFormat.JSONL, output_columns=None
    )

    written = output_of(open_input(file, asked), [1, 2]).decode().splitlines()

    first, second = written
    assert first == (
        '{"a":1.0,"inf":"Infinity","when":"1970-01-01T00:00:00Z","money":null,'
        '"tags":[{"x":"Infinity"}],"kind":"b","prediction":1}'
    )
    assert second == (
        '{"a":null,"inf":"-Infinity","when":"1970-01-01T00:00:01.5Z","money":12345678901234567890.12,'
        '"tags":null,"kind":"ü","prediction":2}'
    )


def test_columns_that_json_cannot_hold_are_named():
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1.0], "raw": [b"\xff"]}), file)
    asked = order(
        FileFormat.PARQUET, {"a": Datatype.FP64}, output_format=FileFormat.JSONL, output_columns=None
    )

    with pytest.raises(ColumnsDoNotFit, match="'raw' has the type binary, which JSON cannot hold"):
        open_input(file, asked)


def test_csv_becomes_json_lines():
    asked = order(FileFormat.CSV, {"a": Datatype.FP64}, output_format=FileFormat.JSONL, output_columns=None)

    written = output_of(open_input(io.BytesIO(b'a,id\n1.5,007\ninf,"x\ny"\n,\n'), asked), [1, 2, 3])

    assert written.splitlines() == [
        b'{"a":1.5,"id":"007","prediction":1}',
        b'{"a":"Infinity","id":"x\\ny","prediction":2}',
        b'{"a":null,"id":"","prediction":3}',
    ]
