"""Parquet files that lie: each lie was believed once, or ended in an error that said nothing."""

import base64
import io
from pathlib import Path

import fastparquet
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.fuzzing.reading import Manner, read_as_a_job
from bench.fuzzing.seeds import table
from shared.jobs.errors import UnreadableInput
from tests.fixtures.lying_parquet import (
    ROWS,
    Lie,
    column_lie,
    footer_lie,
    overlapping,
    page_lie,
    with_size_statistics,
)
from workers.jobs.parquet_footer import ColumnField, FileField, GroupField


def parquet_of(**columns: pa.Array) -> bytes:
    rows = table().slice(0, ROWS)
    for name, column in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    file = io.BytesIO()
    pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
    return file.getvalue()


LIES: dict[str, tuple[Lie, str]] = {
    "fewer rows in a group": (footer_lie(GroupField.ROWS, ROWS - 4), f"claims {ROWS - 4} rows"),
    "more rows in a group": (footer_lie(GroupField.ROWS, ROWS + 1), f"claims {ROWS + 1} rows"),
    "other rows in the file": (footer_lie(FileField.ROWS, 3), "claims 3 rows"),
    "a column beyond the end": (column_lie(ColumnField.DATA_PAGE, 10**9), "outside the file"),
    "a column before the start": (column_lie(ColumnField.DATA_PAGE, -5), "outside the file"),
    "a column of negative size": (column_lie(ColumnField.COMPRESSED_BYTES, -1), "outside the file"),
    "a page of a gigabyte and more": (page_lie(2, 2**30 + 1), "pages that unpack to"),
    "a page of negative size": (page_lie(2, -7), "does not fit into its column"),
    "a page beyond its column": (page_lie(3, 10_000), "does not fit into its column"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_refused_with_what_it_claims(name: str):
    lie, says = LIES[name]

    with pytest.raises(UnreadableInput, match=says):
        read_as_a_job(lie(parquet_of()), Manner())


def test_text_that_is_not_utf_8_is_refused():
    broken = pa.array([b"\xff\xfe"] * ROWS).view(pa.string())

    with pytest.raises(UnreadableInput, match="UTF8"):
        read_as_a_job(parquet_of(city=broken), Manner())


def test_the_name_of_a_column_that_is_not_utf_8_is_refused():
    content = parquet_of().replace(b"city", b"c\xffty")

    with pytest.raises(UnreadableInput, match="name of a column is not text"):
        read_as_a_job(content, Manner())


def test_a_page_that_is_not_what_its_checksum_says_is_refused():
    file = io.BytesIO()
    rows = table()
    pq.write_table(rows, file, compression="none", use_dictionary=False, write_page_checksum=True)
    changed = file.getvalue().replace(
        b"\x55\x55\x55\x55\x55\x55\xe5\x3f", b"\x55\x55\x55\x55\x55\x55\xe4\x3f", 1
    )
    assert changed != file.getvalue()

    with pytest.raises(UnreadableInput, match="CRC checksum"):
        read_as_a_job(changed, Manner())


def test_columns_that_share_their_bytes_are_refused():
    file = io.BytesIO()
    rows = table().select(["id"]).slice(0, ROWS)
    for at in range(20):
        rows = rows.append_column(f"c{at}", pa.array([0.5] * ROWS))
    for name in ("age", "pay", "active", "city", "size"):
        rows = rows.append_column(name, table()[name].slice(0, ROWS))
    pq.write_table(rows, file, compression="none", use_dictionary=False)

    with pytest.raises(UnreadableInput, match="overlap"):
        read_as_a_job(overlapping(file.getvalue()), Manner())


def test_statistics_that_contradict_the_schema_do_not_end_the_process():
    with pytest.raises(UnreadableInput, match="histogram size mismatch"):
        read_as_a_job(with_size_statistics(parquet_of()), Manner())


def test_a_copy_of_the_schema_that_is_broken_is_left_out_of_the_result():
    encoded = pq.read_metadata(io.BytesIO(parquet_of())).metadata[b"ARROW:schema"]
    broken = base64.b64encode(base64.b64decode(encoded).replace(b"city", b"c\xffty"))
    content = parquet_of().replace(encoded, broken)
    assert content != parquet_of()

    read = read_as_a_job(content, Manner())

    assert pq.read_table(io.BytesIO(read.output)).num_rows == ROWS


def test_row_groups_without_rows_may_lie_nowhere():
    file = io.BytesIO()
    with pq.ParquetWriter(file, table().schema) as writer:
        for rows in (0, 20, 0):
            writer.write_table(table().slice(0, rows))

    read = read_as_a_job(file.getvalue(), Manner())

    assert len(read.rows) == 20


@pytest.mark.parametrize("compression", [None, "SNAPPY"])
def test_files_of_fastparquet_are_read_to_their_end(tmp_path: Path, compression: str | None):
    rows = table().to_pandas().astype({"age": "Int64", "active": "boolean"})
    path = tmp_path / "rows.parquet"
    fastparquet.write(path, rows, compression=compression, object_encoding={"city": "utf8"})

    read = read_as_a_job(path.read_bytes(), Manner())

    assert (len(read.rows), read.rows[1]["age"]) == (150, -39)
