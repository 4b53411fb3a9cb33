"""Joined files are read by pyarrow and by fastparquet, which shares no code with it."""

import io
from itertools import pairwise

import fastparquet
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.jobs.batch import Batch
from workers.jobs.parquet_join import PartsDoNotFit, append_columns, stack_parts
from workers.jobs.parts import PredictionsPart

ROWS = 2_500
SCHEMA = pa.schema([("prediction", pa.string())])


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table(
        {
            "id": range(ROWS),
            "name": pa.array([f"n{at % 5}" for at in range(ROWS)]).dictionary_encode(),
            "tags": [[str(at)] * (at % 3) if at % 4 else None for at in range(ROWS)],
            "weight": [None if at % 9 == 0 else at / 7 for at in range(ROWS)],
        }
    )


def written(table: pa.Table, **options) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file


def part(first: int, last: int, *, batch_rows: int = 300, group_rows: int = 1_000) -> io.BytesIO:
    """Predictions `p0`, `p1`, … as a worker writes them: no batch reaches over the end of a row group."""
    cuts = sorted(
        {*range(first, last, batch_rows), *range(first - first % group_rows, last, group_rows), last}
    )
    file = io.BytesIO()
    writer = PredictionsPart(file, SCHEMA)
    for start, end in pairwise(cut for cut in cuts if cut >= first):
        labels = pa.array([f"p{at}" for at in range(start, end)])
        inputs = pa.table({"prediction": labels})
        writer.write(Batch(inputs=inputs, carried=None, numbers=np.arange(start, end)), [labels])
    writer.close()
    return file


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli"])
@pytest.mark.parametrize("page_version", ["1.0", "2.0"])
def test_columns_are_put_beside_each_other(table: pa.Table, compression: str, page_version: str):
    source = written(
        table,
        row_group_size=1_000,
        compression=compression,
        data_page_version=page_version,
        write_page_index=True,
    )
    joined = io.BytesIO()

    append_columns(source, [part(0, 1_000), part(1_000, ROWS)], SCHEMA, keep=None, sink=joined)

    output = pq.read_table(joined)
    assert output.drop_columns("prediction").equals(table)
    assert output["prediction"].to_pylist() == [f"p{at}" for at in range(ROWS)]
    other = fastparquet.ParquetFile(joined).to_pandas(columns=["id", "prediction", "weight"])
    assert other["prediction"].tolist() == output["prediction"].to_pylist()
    pd.testing.assert_series_equal(other["weight"], table["weight"].to_pandas(), check_names=False)


def test_columns_that_are_not_kept_are_gone(table: pa.Table):
    joined = io.BytesIO()

    append_columns(
        written(table, row_group_size=1_000), [part(0, ROWS)], SCHEMA, keep={"tags", "id"}, sink=joined
    )

    output = pq.read_table(joined)
    assert output.column_names == ["id", "tags", "prediction"]
    assert output.select(["id", "tags"]).equals(table.select(["id", "tags"]))


def test_the_index_of_a_data_frame_is_still_its_index():
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5]}, index=pd.Index(["a", "b", "c"], name="key"))
    source, joined = io.BytesIO(), io.BytesIO()
    frame.to_parquet(source)

    append_columns(source, [part(0, 3)], SCHEMA, keep=None, sink=joined)

    expected = frame.assign(prediction=["p0", "p1", "p2"])
    pd.testing.assert_frame_equal(pd.read_parquet(joined), expected, check_dtype=False)


@pytest.mark.parametrize("parts", [[(0, 2_000)], [(0, 1_000)], [], [(0, ROWS), (ROWS, ROWS + 1)]])
def test_parts_with_other_rows_than_the_table_are_refused(table: pa.Table, parts: list[tuple[int, int]]):
    source = written(table, row_group_size=1_000)
    files = [part(first, last) for first, last in parts]

    with pytest.raises(PartsDoNotFit):
        append_columns(source, files, SCHEMA, keep=None, sink=io.BytesIO())


def test_tables_are_stacked(table: pa.Table):
    parts = [written(table.slice(0, 700), row_group_size=300), written(table.slice(700))]
    joined = io.BytesIO()

    stack_parts(parts, table.schema, sink=joined)

    assert pq.read_table(joined).equals(table)
    assert fastparquet.ParquetFile(joined).to_pandas(columns=["id"])["id"].tolist() == list(range(ROWS))
    assert pq.ParquetFile(joined).metadata.num_row_groups == 4


def test_nothing_makes_a_file_with_columns_and_no_rows(table: pa.Table):
    stacked, appended = io.BytesIO(), io.BytesIO()

    stack_parts([], table.schema, sink=stacked)
    append_columns(written(table.slice(0, 0)), [], SCHEMA, keep=None, sink=appended)

    assert pq.read_table(stacked).equals(table.slice(0, 0))
    assert pq.read_table(appended).column_names == [*table.column_names, "prediction"]
