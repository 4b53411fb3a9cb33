"""Text that is compressed, or not in UTF-8: unpacked once, cut from there, and nothing of it left."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.access.caller import Caller
from shared.jobs.job import JobStatus
from shared.jobs.later_life import LaterLife
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(autouse=True)
async def iris(serve_model: ServeModel, iris_on_frame: Path) -> None:
    await serve_model("iris", iris_on_frame)


def flowers(rows: int = 300) -> pd.DataFrame:
    frame = pd.DataFrame(np.random.default_rng(2).uniform(0.1, 8.0, (rows, 4)), columns=COLUMNS)
    return frame.assign(note='größer, "é"\n€')


def csv_text(rows: int = 300) -> str:
    return flowers(rows).to_csv(index=False)


async def predictions(jobs: Jobs, run_job: RunJob, content: bytes, **form: str) -> list[str]:
    job_id = await jobs.submitted(content, model="iris", **form)
    job = await run_job(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    assert not [key for key in jobs.stored(job_id) if "text" in key]
    result = await jobs.result(job_id)
    if job.output.format == "jsonl":
        return [json.loads(line)["prediction"] for line in result.splitlines()]
    output = pd.read_csv(io.BytesIO(result))
    assert set(output.get("note", ['größer, "é"\n€'])) == {'größer, "é"\n€'}
    return output["prediction"].tolist()


async def test_compressed_and_recoded_text_gives_the_same_predictions(jobs: Jobs, run_job: RunJob):
    text, lines = csv_text(), flowers().to_json(orient="records", lines=True, force_ascii=False)
    plain = await predictions(jobs, run_job, text.encode())

    members = gzip.compress(text[:5000].encode()) + gzip.compress(text[5000:].encode())
    for content, form in (
        (gzip.compress(text.encode()), {}),
        (members, {}),
        (text.encode("utf-8-sig"), {}),
        (text.encode("utf-16"), {}),
        (b"\xfe\xff" + text.encode("utf-16-be"), {}),
        (text.encode("utf-16-le"), {"encoding": "utf-16"}),
        (gzip.compress(text.encode("cp1252")), {"encoding": "cp1252"}),
        (lines.encode(), {}),
        (gzip.compress(lines.encode()), {"format": "jsonl"}),
        (gzip.compress(lines.encode("utf-16")), {"output_format": "csv"}),
    ):
        assert await predictions(jobs, run_job, content, **form) == plain


@pytest.mark.parametrize(
    ("content", "form", "row", "says"),
    [
        (gzip.compress(csv_text().encode())[:-9], {}, None, "compressed with gzip, and broken behind"),
        (gzip.compress(csv_text().encode())[:-8] + b"\0" * 8, {}, None, "CRC check failed"),
        (gzip.compress(csv_text().encode()) + b"more", {}, None, "Not a gzipped file"),
        (
            csv_text().encode("cp1252"),
            {"output_format": "parquet"},
            0,
            "not text in UTF-8: say in `encoding`",
        ),
        (
            csv_text().replace("€", "\x81", 1).encode("latin-1", "replace"),
            {"encoding": "cp1252"},
            0,
            "81 are not",
        ),
        (csv_text().encode("utf-16")[:-1], {}, 299, "not text in utf-16"),
        (b"a\x81b,c\n1,2\n", {"encoding": "cp1252"}, None, "81 are not text in cp1252"),
        (b'{"sepal_length": 1, "\x81": 2}\n', {"encoding": "cp1252"}, 0, "81 are not text in cp1252"),
    ],
)
async def test_text_that_is_broken_fails_its_job_with_the_row(
    jobs: Jobs, run_job: RunJob, *, content: bytes, form: dict[str, str], row: int | None, says: str
):
    job_id = await jobs.submitted(content, model="iris", **form)

    job = await run_job(job_id)

    assert (job.status, job.error.code, job.error.row) == (JobStatus.FAILED, "unreadable_input", row)
    assert says in job.error.message
    assert jobs.stored(job_id) == {f"jobs/{job_id}/input"}


async def test_the_row_is_counted_as_everywhere_quotes_and_blank_lines_included(jobs: Jobs, run_job: RunJob):
    text = 'sepal_length,sepal_width,petal_length,petal_width,note\n\n1,1,1,1,"x\ny"\n\n1,1,1,1,"\x81"\n'

    job = await run_job(await jobs.submitted(text.encode("latin-1"), model="iris", encoding="cp1252"))

    assert job.error.row == 1


async def test_a_bomb_is_refused_before_it_fills_the_storage(
    jobs: Jobs, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.unpacking.UNPACKED_LEAST_BYTES", 1024)
    bomb = gzip.compress(csv_text(1).encode() + b"1,1,1,1,x\n" * 1_000_000)
    job_id = await jobs.submitted(bomb, model="iris")

    job = await run_job(job_id)

    assert job.error.code == "unreadable_input"
    assert "unpacks to more than the" in job.error.message
    assert jobs.stored(job_id) == {f"jobs/{job_id}/input"}


async def test_a_cancelled_job_keeps_its_text_until_a_retry_has_succeeded(
    jobs: Jobs, run_job: RunJob, job_context: JobContext, later_life: LaterLife, caller: Caller
):
    job_id = await jobs.submitted(gzip.compress(csv_text().encode()), model="iris")
    await plan_job(job_context, job_id)
    planned = jobs.stored(job_id)
    assert f"jobs/{job_id}/text.1" in planned

    await jobs.cancel(job_id)
    await run_job(job_id)
    kept = jobs.stored(job_id)
    await later_life.retry(caller.tenant_id, str(job_id))
    await run_job(job_id)

    assert kept == planned
    assert jobs.stored(job_id) == {f"jobs/{job_id}/input", (await jobs.row(job_id)).result_key}
