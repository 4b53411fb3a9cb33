"""Jobs that skip rows of JSON Lines, Arrow and packed text: which rows are told, and what is written."""

import gzip
import io
import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from shared.jobs.job import ErrorsFormat, JobStatus
from shared.jobs.view import Rows
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.touchy import RAISES, saved


@pytest.fixture
async def touchy(serve_model: ServeModel, tmp_path: Path) -> None:
    await serve_model("touchy", saved(tmp_path / "touchy.pkl"))


async def told(jobs: Jobs, job_id: UUID) -> list[tuple[int, str | None, str]]:
    lines = (await jobs.errors(job_id, ErrorsFormat.JSONL)).splitlines()
    return [(each["row"], each["column"], each["code"]) for each in map(json.loads, lines)]


def lines_of(count: int, bad: dict[int, bytes]) -> bytes:
    """Rows with an id, `bad` ones as they are given, and now and then an empty line, which is no row."""
    lines = []
    for at in range(count):
        lines.append(
            bad.get(at, json.dumps({"id": at, "x0": float(at), "x1": 0.5, "pad": "x" * 40}).encode())
        )
        lines += [b""] if at % 100 == 0 else []
    return b"\n".join(lines) + b"\n"


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("output_format", ["jsonl", "csv", "parquet"])
async def test_lines_that_cannot_be_predicted_are_left_out_and_told(
    jobs: Jobs, run_job: RunJob, output_format: str
):
    bad = {
        0: b"{not JSON",
        1: b'{"id": 1, "x0": %.1f, "x1": 0.5}' % RAISES,
        7: b'{"id": 7, "x0": "wide", "x1": 0.5}',
        8: b'{"id": 8, "x0": 1}',
        60_000: b"[1, 2]",
        120_000: b'{"id": "\xff", "x0": 1, "x1": 2}',
        149_999: b'{"id": 149999, "x0": %.1f, "x1": 0.5}' % RAISES,
    }
    job_id = await jobs.submitted(
        lines_of(150_000, bad), model="touchy", format="jsonl", on_error="skip", output_format=output_format
    )

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert len(await jobs.chunks(job_id)) > 1
    assert job.rows == Rows(total=150_000, done=149_993, failed=7)
    assert await told(jobs, job_id) == [
        (0, None, "unreadable_input"),
        (1, None, "model_failed"),
        (7, "x0", "unreadable_input"),
        (8, "x1", "unreadable_input"),
        (60_000, None, "unreadable_input"),
        (120_000, None, "unreadable_input"),
        (149_999, None, "model_failed"),
    ]
    left = np.setdiff1d(np.arange(150_000), list(bad))
    rows = written(await jobs.result(job_id), output_format)
    assert [int(row["id"]) for row in rows] == left.tolist()
    assert [float(row["prediction"]) for row in rows] == (left * 2.0).tolist()


def written(content: bytes, format_: str) -> list[dict]:
    if format_ == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    if format_ == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pylist()
    return pacsv.read_csv(io.BytesIO(content)).to_pylist()


def arrow_of(count: int, *, bad: list[int]) -> bytes:
    """A stream in batches of a thousand rows."""
    numbers = np.arange(count, dtype=float)
    numbers[bad] = RAISES
    words = pa.array([f"a word of row {at}" for at in range(count)], pa.string_view())
    table = pa.table({"id": np.arange(count), "x0": numbers, "x1": numbers, "word": words})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=1_000)
    return sink.getvalue()


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("output_format", ["jsonl", "csv"])
async def test_rows_of_arrow_that_cannot_be_predicted_are_left_out_and_told(
    jobs: Jobs, run_job: RunJob, output_format: str
):
    bad = [0, 999, 1_000, 149_999]
    content = arrow_of(150_000, bad=bad)
    job_id = await jobs.submitted(
        content, model="touchy", on_error="skip", output_format=output_format, include="id,x0"
    )

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert len(await jobs.chunks(job_id)) > 1
    assert job.rows == Rows(total=150_000, done=149_996, failed=4)
    assert await told(jobs, job_id) == [(row, None, "model_failed") for row in bad]
    left = np.setdiff1d(np.arange(150_000), bad)
    rows = written(await jobs.result(job_id), output_format)
    assert [int(row["id"]) for row in rows] == left.tolist()
    assert [float(row["prediction"]) for row in rows] == (left * 2.0).tolist()


@pytest.mark.usefixtures("touchy")
async def test_records_of_packed_text_in_another_encoding_are_left_out_and_told(jobs: Jobs, run_job: RunJob):
    text = "place,x0,x1\nZürich,1,1\nKöln,wide,1\nMálaga,-1,1\nLiège,2,1\nÅre,1\n"
    job_id = await jobs.submitted(
        gzip.compress(text.encode("cp1252")), model="touchy", on_error="skip", encoding="cp1252"
    )

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert await told(jobs, job_id) == [
        (1, "x0", "unreadable_input"),
        (2, None, "model_failed"),
        (4, None, "unreadable_input"),
    ]
    assert (await jobs.result(job_id)).decode() == ("place,x0,x1,prediction\nZürich,1,1,2\nLiège,2,1,4\n")
