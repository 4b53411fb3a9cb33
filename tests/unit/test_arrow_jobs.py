"""Arrow files and streams as inputs of jobs, without a model."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.catalog.verdict import Datatype
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import FileFormat
from tests.unit.test_job_inputs import TABLE, order, rows_of
from tests.unit.test_json_lines_jobs import images, output_of
from workers.jobs.job_input import JobInput, open_input, plan_chunks

Write = Callable[..., bytes]


def as_file(table: pa.Table, *, rows: int = 3, **options) -> bytes:
    return _written(pa.ipc.new_file, table, rows, options)


def as_stream(table: pa.Table, *, rows: int = 3, **options) -> bytes:
    return _written(pa.ipc.new_stream, table, rows, options)


def _written(writer: Callable, table: pa.Table, rows: int, options: dict) -> bytes:
    sink = io.BytesIO()
    with writer(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def arrow(content: bytes, columns: dict[str, Datatype], **changes) -> JobInput:
    given = {"output_format": FileFormat.PARQUET} | changes
    return open_input(io.BytesIO(content), order(FileFormat.ARROW, columns, **given))


def customers() -> pa.Table:
    return pa.table(
        {
            "city": pa.array(["Paris", None, "Oslo", "Rome"] * 3).dictionary_encode(),
            "id": pa.array(range(12), pa.uint16()),
            "age": pa.array([41.0, None, 7.0, 8.0] * 3),
            "active": pa.array([True, None, False, True] * 3),
            "pay.rate": pa.array([1, 2**53 + 1, None, 4] * 3, pa.int64()),
        }
    )


@pytest.mark.parametrize("write", [as_file, as_stream])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4"}])
def test_values_get_the_types_of_the_model(write: Write, options: dict):
    rows = rows_of(arrow(write(customers(), **options), TABLE), rows=2)

    assert len(rows) == 12
    assert rows[0] == rows[4] == {"age": 41, "pay.rate": 1.0, "active": True, "city": "Paris"}
    assert rows[9] == {"age": None, "pay.rate": float(2**53), "active": None, "city": None}


@pytest.mark.parametrize(
    ("write", "options"),
    [(as_stream, {}), (as_stream, {"emit_dictionary_deltas": True}), (as_file, {"unify_dictionaries": True})],
)
def test_chunks_are_whole_batches_and_know_their_dictionaries(
    write: Write, options: dict, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.job_input._MIN_CHUNK_BYTES", 100)
    words = [f"word {at}" for at in range(1000)]
    batches = [pa.array(words[at : at + 10]).dictionary_encode() for at in range(0, 1000, 10)]
    content = write(pa.table({"city": pa.chunked_array(batches)}), **options)

    job_input = arrow(content, {"city": Datatype.BYTES})
    chunks = plan_chunks(job_input, chunk_bytes=2**20)

    assert 7 <= len(chunks) <= 9
    assert sum(chunk.rows for chunk in chunks) == 1000
    assert all(first.source.end == second.source.start for first, second in pairwise(chunks))
    assert [row["city"] for row in rows_of(job_input)] == words


@pytest.mark.parametrize("write", [as_file, as_stream])
def test_no_rows_make_no_chunks(write: Write):
    content = write(pa.table({"a": pa.array([], pa.float64())}))

    assert plan_chunks(arrow(content, {"a": Datatype.FP64}), chunk_bytes=2**20) == []


def test_arrays_in_lists_feed_columns_of_arrays():
    table = pa.table({"image": [[1.0, 2.0, 3.0, 4.0]] * 4, "n": [1, 2, 3, 4]})
    asked = images(FileFormat.ARROW, output_format=FileFormat.PARQUET)

    rows = rows_of(open_input(io.BytesIO(as_stream(table)), asked))

    np.testing.assert_array_equal([row["image"] for row in rows], np.array([[1, 2, 3, 4]] * 4, np.float32))


@pytest.mark.parametrize(
    ("output_format", "expected"),
    [
        (FileFormat.CSV, b"city,id,prediction\nParis,0,0\n,1,1\n"),
        (FileFormat.JSONL, b'{"city":"Paris","id":0,"prediction":0}\n{"city":null,"id":1,"prediction":1}\n'),
    ],
)
def test_arrow_becomes_lines(output_format: FileFormat, expected: bytes):
    job_input = arrow(
        as_file(customers().slice(0, 2)), TABLE, output_format=output_format, output_columns=["id", "city"]
    )

    assert output_of(job_input, range(2)) == expected


def test_arrow_becomes_parquet_with_its_own_types():
    views = customers().append_column("note", pa.array(["x"] * 12, pa.string_view()))
    nested = views.append_column("tags", pa.array([[{"k": "v"}]] * 12))
    job_input = arrow(as_stream(nested), TABLE, output_columns=None)

    table = pq.read_table(io.BytesIO(output_of(job_input, range(12))))

    assert table.drop_columns("prediction").to_pylist() == nested.to_pylist()
    assert table.schema.field("id").type == pa.uint16()
    assert table["prediction"].to_pylist() == list(range(12))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"b": [1.0]}, "lacks 'a'"),
        ({"a": ["1"]}, "'a' has the type string, and the model takes a number"),
        ({"a": [1.0], "odd": pa.array([b""], pa.binary_view())}, "'odd' has the type binary_view"),
    ],
)
def test_columns_that_do_not_fit_are_named_before_a_batch_is_read(columns: dict, says: str):
    with pytest.raises(ColumnsDoNotFit, match=says):
        arrow(as_file(pa.table(columns)), {"a": Datatype.FP64}, output_columns=None)


def test_a_value_that_does_not_fit_is_named_with_its_row():
    content = as_stream(pa.table({"n": [1.0, 2.0, 3.0, 4.0, 5.5]}))

    with pytest.raises(UnreadableInput, match=r"5\.5 is not a whole number") as refused:
        rows_of(arrow(content, {"n": Datatype.INT64}), rows=2)

    assert (refused.value.row, refused.value.column) == (4, "n")


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) >= 1
    return content.replace(old, new)


NUMBERS = pa.table({"a": np.arange(6.0)})
FILE, STREAM = as_file(NUMBERS), as_stream(NUMBERS)
ZIPPED = as_stream(pa.table({"a": np.zeros(4096)}), rows=4096, compression="zstd")
LONG = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["x" * 1_000_000])})
NOTHING = as_stream(pa.table({"a": pa.nulls(10)}), rows=10)


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        (FILE[:-1], Datatype.FP64, "no footer at its end"),
        (FILE[:200], Datatype.FP64, "no footer at its end"),
        (b"ARROW1\0\0ARROW1", Datatype.FP64, "no footer|no message|no schema"),
        (FILE[:-10] + b"\xff\xff\xff\x7fARROW1", Datatype.FP64, "no footer at its end"),
        (FILE[:-10] + b"\0\0\0\x80ARROW1", Datatype.FP64, "no footer at its end"),
        (STREAM[:4], Datatype.FP64, "no message at byte 0"),
        (STREAM[:100], Datatype.FP64, "claims .* bytes of metadata"),
        (STREAM[:-12], Datatype.FP64, "the file ends before"),
        (STREAM[:4] + b"\xff\xff\xff\x7f" + STREAM[8:], Datatype.FP64, "claims 2147483647 bytes of metadata"),
        (STREAM[:4] + b"\0\0\0\x80" + STREAM[8:], Datatype.FP64, "claims -2147483648 bytes"),
        (STREAM[:8] + b"\xff" * 60 + STREAM[68:], Datatype.FP64, "damaged"),
        (b"\xff\xff\xff\xff\0\0\0\0", Datatype.FP64, "no schema"),
        # A batch without its schema; 10 rows that claim to be 2**40; bytes that claim to unpack to 2**50.
        (STREAM[STREAM.index(b"\xff\xff\xff\xff", 8) :], Datatype.FP64, "damaged"),
        (replaced(NOTHING, b"\x0a" + b"\0" * 7, b"\0" * 5 + b"\x01\0\0"), Datatype.FP64, "rows, and has"),
        (
            replaced(ZIPPED, (32768).to_bytes(8, "little"), (2**50).to_bytes(8, "little")),
            Datatype.FP64,
            "unpacks",
        ),
        (as_stream(LONG, rows=1000, compression="zstd"), Datatype.BYTES, "unpacks to 1000000000 bytes"),
    ],
)
def test_what_is_broken_or_lies_is_refused(content: bytes, columns: Datatype, says: str):
    with pytest.raises(UnreadableInput, match=says):
        rows_of(arrow(content, {"a": columns}), rows=1000)


def test_no_flipped_byte_does_more_than_fail():
    """Every byte of the metadata of a file and a stream, one after the other."""
    for content in (FILE, STREAM, ZIPPED):
        for at in range(8, min(len(content), 900)):
            flipped = bytearray(content)
            flipped[at] ^= 0xFF
            try:
                rows_of(arrow(bytes(flipped), {"a": Datatype.FP64}))
            except UnreadableInput:
                continue
