"""Rows that do not fit, told apart from those that do, without a model."""

import io
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.errors_format import errors_format_of
from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.jobs.job import ErrorsFormat, FileFormat, OnError
from shared.jobs.order import Order
from workers.jobs.batch import Batch
from workers.jobs.failing_rows import failing_rows
from workers.jobs.job_input import open_input, plan_chunks

AGE_AND_CITY = [
    Column(name="age", datatype=Datatype.INT64),
    Column(name="city", datatype=Datatype.BYTES),
]
PAIR = [Column(name="pair", datatype=Datatype.INT64, shape=[2])]


def batches_of(content: bytes, inputs: list[Column], *, layout: Layout, rows: int = 4) -> list[Batch]:
    starts = {b"PAR1": FileFormat.PARQUET, b"ARROW1": FileFormat.ARROW, b"{": FileFormat.JSONL}
    found = [format_ for start, format_ in starts.items() if content.startswith(start)]
    input_format = found[0] if found else FileFormat.CSV
    order = Order(
        job_id=UUID(int=1),
        input_key="in",
        input_format=input_format,
        output_format=FileFormat.PARQUET if input_format is FileFormat.ARROW else input_format,
        output_columns=None,
        version_id=UUID(int=2),
        artifact_key="model",
        signature=Signature(
            inputs=inputs,
            named=True,
            layout=layout,
            outputs=[Output(name="label", datatype=Datatype.INT64)],
        ),
        on_error=OnError.SKIP,
    )
    job_input = open_input(io.BytesIO(content), order)
    (chunk,) = plan_chunks(job_input, chunk_bytes=2**20)
    return list(job_input.batches(chunk.source, rows=rows))


def parquet_of(**columns) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def arrow_of(*, rows_each: int, **columns) -> bytes:
    table, file = pa.table(columns), io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_each)
    return file.getvalue()


def told(batches: list[Batch]) -> list[tuple[int, str | None, str]]:
    return [(error.row, error.column, error.message) for batch in batches for error in batch.refused]


def test_values_of_parquet_that_do_not_fit_are_told_and_the_others_kept():
    ages = [1.0, 2.5, 3.0, 4.0, 5.0, None, 7.0, 8.0, 9.5]
    content = parquet_of(age=ages, city=list("abcdefghi"))

    batches = batches_of(content, AGE_AND_CITY, layout=Layout.TABLE)

    assert told(batches) == [
        (1, "age", "2.5 is not a whole number"),
        (8, "age", "9.5 is not a whole number"),
    ]
    assert [batch.numbers.tolist() for batch in batches] == [[0, 2, 3], [4, 5, 6, 7], []]
    assert [batch.inputs["city"].to_pylist() for batch in batches][:2] == [list("acd"), list("efgh")]
    assert batches[0].carried["age"].to_pylist() == [1.0, 3.0, 4.0]


def test_arrays_that_do_not_fit_are_told():
    content = parquet_of(pair=[[1, 2], [3], None, [4, 5]])

    (batch,) = batches_of(content, PAIR, layout=Layout.TENSORS)

    assert [(row, column) for row, column, _ in told([batch])] == [(1, "pair"), (2, "pair")]
    assert batch.inputs["pair"].to_pylist() == [[1, 2], [4, 5]]


def test_values_of_arrow_that_do_not_fit_are_told_and_the_others_kept():
    ages = [1.0, 2.5, 3.0, 4.0, 5.0, None, 7.0, 8.0, 9.5]
    cities = pa.array(list("abcdefghi"), pa.string_view())  # which Arrow cannot filter
    content = arrow_of(age=ages, city=cities, rows_each=5)

    batches = batches_of(content, AGE_AND_CITY, layout=Layout.TABLE)

    assert told(batches) == [
        (1, "age", "2.5 is not a whole number"),
        (8, "age", "9.5 is not a whole number"),
    ]
    assert [batch.numbers.tolist() for batch in batches] == [[0, 2, 3], [4], [5, 6, 7]]
    assert [batch.inputs["city"].to_pylist() for batch in batches] == [list("acd"), ["e"], list("fgh")]
    assert batches[0].carried["age"].to_pylist() == [1.0, 3.0, 4.0]


def test_an_arrow_file_of_unfit_rows_alone_has_a_batch_without_rows():
    content = arrow_of(age=[0.5, 1.5], city=["a", "b"], rows_each=5)

    (batch,) = batches_of(content, AGE_AND_CITY, layout=Layout.TABLE)

    assert (batch.rows, [row for row, _, _ in told([batch])]) == (0, [0, 1])


def test_lines_of_json_that_do_not_fit_are_told_and_the_others_kept():
    lines = [
        '{"age": 0, "city": "a"}',
        '{"age": 1.5, "city": "b"}',
        "",
        '{"age": 2, "city": "c"',
        '{"age": 3, "city": "d"}',
        '{"age": 4}',
        '{"age": 5, "city": ["f"]}',
        '{"age": 6, "city": "g"}',
    ]

    batches = batches_of("\n".join(lines).encode(), AGE_AND_CITY, layout=Layout.TABLE)

    assert [(row, column) for row, column, _ in told(batches)] == [
        (1, "age"),
        (2, None),
        (4, "city"),
        (5, "city"),
    ]
    assert [batch.numbers.tolist() for batch in batches] == [[0, 3], [6]]
    assert batches[1].carried.to_pylist() == [b'{"age": 6, "city": "g"']


def test_lines_of_unfit_rows_alone_make_a_batch_without_rows():
    (batch,) = batches_of(b'{"age": 0.5, "city": "a"}\n[]\n', AGE_AND_CITY, layout=Layout.TABLE)

    assert (batch.rows, [row for row, _, _ in told([batch])]) == (0, [0, 1])


def test_records_of_csv_that_do_not_fit_are_told_with_the_batch_they_stand_in():
    records = ["0,a", "x,b", "2,c", "3,d,e", "4,f", "5,g", "6,h", "7.5,i", "y,j"]
    content = ("age,city\n" + "\n".join(records)).encode()

    batches = batches_of(content, AGE_AND_CITY, layout=Layout.TABLE, rows=2)

    assert [[error.row for error in batch.refused] for batch in batches] == [[1], [3], [7, 8]]
    assert [batch.numbers.tolist() for batch in batches] == [[0, 2], [4, 5], [6]]
    assert [batch.carried.to_pylist() for batch in batches] == [[b"0,a", b"2,c"], [b"4,f", b"5,g"], [b"6,h"]]
    assert told(batches)[1] == (3, None, "the record has 3 fields where the header has 2")


def test_a_gap_that_an_array_model_cannot_have_is_told_in_csv_too():
    content = b'age\n1\n""\n3\n'

    (batch,) = batches_of(content, AGE_AND_CITY[:1], layout=Layout.TENSORS)

    assert [(row, column) for row, column, _ in told([batch])] == [(1, "age")]
    assert batch.inputs["age"].to_pylist() == [1, 3]


def test_a_file_of_broken_records_alone_has_one_batch_without_rows():
    (batch,) = batches_of(b"age,city\n1\n2\n3\n", AGE_AND_CITY, layout=Layout.TABLE)

    assert (batch.rows, [row for row, _, _ in told([batch])]) == (0, [0, 1, 2])


@pytest.mark.parametrize("bad", [set(), {0}, {99}, {3, 4, 50}, set(range(100))])
def test_every_failing_row_is_found_and_no_other(bad: set[int]):
    found = failing_rows(0, 100, fault=lambda start, stop: bad & set(range(start, stop)) or None)

    assert [row for row, _ in found] == sorted(bad)


def test_few_failing_rows_are_found_in_few_looks():
    looks = []

    def fault(start: int, stop: int) -> bool | None:
        looks.append((start, stop))
        return True if start <= 777 < stop else None

    assert [row for row, _ in failing_rows(0, 16_384, fault=fault)] == [777]
    assert len(looks) == 2 * 14 + 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, ErrorsFormat.JSONL),
        ("*/*", ErrorsFormat.JSONL),
        ("text/html, text/csv;q=0.5, application/x-ndjson;q=0.9", ErrorsFormat.JSONL),
        ("Text/CSV; charset=utf-8", ErrorsFormat.CSV),
        ("text/csv;q=0, application/vnd.apache.parquet;q=0.1", ErrorsFormat.PARQUET),
        ("text/csv;q=x", ErrorsFormat.JSONL),
    ],
)
def test_the_format_of_errors_is_the_one_that_the_client_likes_best(accept: str | None, kind: ErrorsFormat):
    assert errors_format_of(accept) is kind
