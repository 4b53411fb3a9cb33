"""Values on their way from a file to the model, without a model: types, gaps, and what does not fit."""

import io
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import FileFormat
from shared.jobs.order import Order
from workers.jobs.job_input import JobInput, open_input, plan_chunks

TABLE = {"age": Datatype.INT64, "pay.rate": Datatype.FP64, "active": Datatype.BOOL, "city": Datatype.BYTES}


def order(input_format: FileFormat, columns: dict[str, Datatype], **changes) -> Order:
    numbers = set(columns.values()) == {Datatype.FP64}
    signature = Signature(
        inputs=[Column(name=name, datatype=datatype) for name, datatype in columns.items()],
        named=True,
        layout=Layout.MATRIX if numbers else Layout.TABLE,
        outputs=[Output(name="label", datatype=Datatype.INT64)],
    )
    given = {
        "input_format": input_format,
        "output_format": input_format,
        "output_columns": [],
        "signature": signature,
    } | changes
    return Order(
        job_id=UUID(int=1),
        input_key="in",
        version_id=UUID(int=2),
        artifact_key="model",
        **given,
    )


def csv_input(content: str, columns: dict[str, Datatype], **changes) -> JobInput:
    return open_input(io.BytesIO(content.encode()), order(FileFormat.CSV, columns, **changes))


def parquet_input(columns: dict[str, pa.Array], wanted: dict[str, Datatype]) -> JobInput:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return open_input(file, order(FileFormat.PARQUET, wanted))


def rows_of(job_input: JobInput, *, rows: int = 100) -> list[dict]:
    """What the model gets."""
    chunks = plan_chunks(job_input, chunk_bytes=2**20)
    return [
        row
        for chunk in chunks
        for batch in job_input.batches(chunk.source, rows=rows)
        for row in batch.inputs.to_pylist()
    ]


def test_csv_values_get_the_types_of_the_model_and_gaps_stay_gaps():
    content = 'city,age,pay.rate,active\nParis,41,1.5,true\n,,,\nNA,7.0,NaN,0\n"NA",8,inf,1\n'

    rows = rows_of(csv_input(content, TABLE))

    assert rows[0] == {"age": 41, "pay.rate": 1.5, "active": True, "city": "Paris"}
    assert rows[1] == {"age": None, "pay.rate": None, "active": None, "city": None}
    assert (rows[2]["age"], rows[2]["city"]) == (7, None)
    assert (rows[3]["pay.rate"], rows[3]["city"]) == (float("inf"), "NA")


@pytest.mark.parametrize(
    ("row", "column", "says"),
    [
        ("Rome,3.5,1,true", "age", "'3.5' is not a whole number"),
        ("Rome,3,one,true", "pay.rate", "'one' is not a number"),
        ("Rome,3,1,perhaps", "active", "'perhaps' is not true or false"),
    ],
)
def test_a_csv_value_of_another_type_is_named(row: str, column: str, says: str):
    content = f"city,age,pay.rate,active\nParis,41,1.5,true\n{row}\nOslo,x,x,x\n"

    with pytest.raises(UnreadableInput, match=says) as refused:
        rows_of(csv_input(content, TABLE))

    assert (refused.value.row, refused.value.column) == (1, column)


def test_a_csv_file_in_utf_8_with_a_broken_byte_names_the_row():
    job_input = open_input(
        io.BytesIO(b"city\nParis\nOrl\xe9ans\n"), order(FileFormat.CSV, {"city": Datatype.BYTES})
    )

    with pytest.raises(UnreadableInput, match="UTF-8") as refused:
        rows_of(job_input)

    assert refused.value.row == 1


@pytest.mark.parametrize("record", ["Rome\rOslo,2", "Rome,2\rOslo,3"])
def test_a_carriage_return_alone_is_named_with_its_row(record: str):
    job_input = csv_input(f"city,age\nParis,1\n{record}\n", {"city": Datatype.BYTES, "age": Datatype.INT64})

    with pytest.raises(UnreadableInput, match=r"carriage return \(CR\) stands alone") as refused:
        rows_of(job_input)

    assert refused.value.row == 1


def test_a_csv_header_of_the_old_macintosh_is_told_apart():
    with pytest.raises(UnreadableInput, match="lines end with LF or CRLF"):
        csv_input("city,age\rParis,1\rRome,2\r", {"age": Datatype.INT64})


def test_a_value_may_be_longer_than_pythons_own_reader_takes():
    content = f"age,city\n1,{'x' * 200_000}\n2,Paris,3\n"

    with pytest.raises(UnreadableInput, match="3 fields where the header has 2") as refused:
        rows_of(csv_input(content, {"age": Datatype.INT64}))

    assert refused.value.row == 1


def test_batches_are_no_larger_than_asked_and_lines_go_with_their_rows():
    content = "a;b\r\n" + "".join(f'{at};"x;\ny{at}"\r\n' for at in range(10))
    job_input = csv_input(content, {"a": Datatype.FP64}, output_columns=None)
    (chunk,) = plan_chunks(job_input, chunk_bytes=2**20)

    batches = list(job_input.batches(chunk.source, rows=4))

    assert [batch.rows for batch in batches] == [4, 4, 2]
    assert [batch.carried.to_pylist() for batch in batches][2] == [b'8;"x;\ny8"', b'9;"x;\ny9"']


def test_parquet_values_get_the_types_of_the_model():
    columns = {
        "age": pa.array([41.0, None, 7.0]),
        "pay.rate": pa.array([1, 2**53 + 1, None], pa.int64()),
        "active": pa.array([True, None, False]),
        "city": pa.array(["Paris", None, "Oslo"]).dictionary_encode(),
    }

    rows = rows_of(parquet_input(columns, TABLE))

    assert rows[0] == {"age": 41, "pay.rate": 1.0, "active": True, "city": "Paris"}
    assert rows[1] == {"age": None, "pay.rate": float(2**53), "active": None, "city": None}


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("age", pa.array(["41"])),
        ("pay.rate", pa.array([b"1"])),
        ("active", pa.array([1])),
        ("city", pa.array([75001])),
    ],
)
def test_a_parquet_column_of_another_kind_is_named_with_its_type(column: str, given: pa.Array):
    columns = {name: pa.nulls(1) for name in TABLE} | {column: given}

    with pytest.raises(ColumnsDoNotFit, match=f"{column!r} has the type {given.type}") as refused:
        parquet_input(columns, TABLE)

    assert refused.value.column == column


def test_a_fraction_in_a_parquet_column_of_whole_numbers_is_named():
    columns = {name: pa.nulls(5) for name in TABLE} | {"age": pa.array([1.0, 2.0, None, 3.5, 0.5])}

    with pytest.raises(UnreadableInput, match=r"3\.5 is not a whole number") as refused:
        rows_of(parquet_input(columns, TABLE), rows=2)

    assert (refused.value.row, refused.value.column) == (3, "age")


def test_chunks_depend_on_the_file_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workers.jobs.job_input._MIN_CHUNK_BYTES", 100)
    content = "a\n" + "".join(f"{at}.5\n" for at in range(1000))

    job_input = csv_input(content, {"a": Datatype.FP64})
    chunks = plan_chunks(job_input, chunk_bytes=2**20)

    assert 8 <= len(chunks) <= 9
    assert [row["a"] for row in rows_of(job_input)] == [at + 0.5 for at in range(1000)]
