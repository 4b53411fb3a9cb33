"""Broken files of every kind: each is refused, or fails its job with a reason, and the next job runs."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import CallerError
from shared.jobs.job import JobStatus
from tests.fixtures.broken_files import broken_files, parquet_of
from tests.fixtures.jobs import Jobs, RunJob, ServeModel

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
TABLE = pa.table({name: np.arange(1.0, 11.0) for name in COLUMNS})
ROW = dict.fromkeys(COLUMNS, 1.5)
LINE = json.dumps(ROW).encode() + b"\n"
CSV = b"sepal_length,sepal_width,petal_length,petal_width\n1,1,1,1\n"


def arrow(table: pa.Table = TABLE, *, stream: bool = False, **options) -> bytes:
    sink = io.BytesIO()
    writer = pa.ipc.new_stream if stream else pa.ipc.new_file
    with writer(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table, max_chunksize=4)
    return sink.getvalue()


def line(**changes: object) -> bytes:
    return json.dumps(ROW | changes).encode() + b"\n"


FILE, STREAM, ZIPPED = arrow(), arrow(stream=True), gzip.compress(LINE * 1000)
BROKEN = {
    # JSON Lines
    "a line cut off": LINE + LINE[:20],
    "a pretty document": json.dumps(ROW, indent=2).encode(),
    "an array": json.dumps([ROW]).encode(),
    "no object": LINE + b"17\n",
    "two objects a line": LINE + LINE.strip() + LINE,
    "commas between lines": LINE.strip() + b",\n" + LINE,
    "Python's quotes": LINE + str(ROW).encode(),
    "NaN as it is": LINE + LINE.replace(b"1.5", b"NaN"),
    "a number beyond all": LINE + LINE.replace(b"1.5", b"1e999"),
    "half a surrogate": LINE + line(note=0).replace(b": 0", rb': "\ud800"') + line(petal_width="\ud800"),
    "no UTF-8": LINE + LINE.replace(b"sepal", b"s\xe9pal"),
    "a zero byte": LINE * 100 + b"\0\n",
    "deep": LINE + b"[" * 200_000,
    "deep beside": LINE + LINE.strip()[:-1] + b', "x":' + b'{"x":' * 200_000,
    "a column missing": b'{"sepal_length": 1}\n',
    "a column missing below": LINE * 2000 + b'{"sepal_length": 1}\n',
    "text for a number": LINE + line(petal_width="wide"),
    "a list for a number": LINE + line(petal_width=[1]),
    "true text": LINE + line(petal_width={"a": 1}),
    "a very long number": LINE + LINE.replace(b"1.5", b"9" * 5000),
    "blank lines alone": b"{" + b"\n" * 10,
    # gzip
    "gzip cut off": ZIPPED[:-20],
    "gzip with a wrong sum": ZIPPED[:-6] + b"\0\0\0\0\0\0",
    "gzip with something behind": ZIPPED + b"behind",
    "gzip with broken blocks": ZIPPED[:30] + b"\xff" * 40 + ZIPPED[70:],
    "gzip of nothing": gzip.compress(b""),
    "gzip of gzip": gzip.compress(ZIPPED),
    "gzip of Arrow": gzip.compress(FILE),
    "gzip of zeros": gzip.compress(b"\0" * 100_000),
    "a header of gzip": b"\x1f\x8b\x08\x00",
    # encodings
    "half a UTF-16 character": CSV.decode().encode("utf-16")[:-1],
    "UTF-16 without its mark": CSV.decode().encode("utf-16-le"),
    "UTF-32": CSV.decode().encode("utf-32"),
    "the mark alone": b"\xff\xfe",
    # Arrow
    "Arrow without its end": FILE[:-20],
    "an Arrow mark alone": b"ARROW1\0\0",
    "Arrow without columns": arrow(pa.table({})),
    "Arrow with other columns": arrow(TABLE.select([0])),
    "Arrow of text": arrow(TABLE.set_column(3, "petal_width", pa.array(["x"] * 10))),
    "an Arrow stream cut off": STREAM[:-30],
    "an Arrow stream cut in its schema": STREAM[:64],
    "an Arrow stream of zeros": b"\xff\xff\xff\xff" + b"\0" * 100,
    "an Arrow stream of ones": b"\xff" * 1000,
    "Arrow with a broken body": arrow(compression="zstd").replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe"),
    "Feather 1": b"FEA1" + b"\0" * 40,
}


@pytest.fixture(autouse=True)
async def iris(serve_model: ServeModel, iris_on_frame: Path) -> None:
    await serve_model("iris", iris_on_frame)


ODD = {
    "a mark of UTF-8": b"\xef\xbb\xbf" + CSV,
    "line ends of two kinds": CSV.replace(b"\n", b"\r\n") + b"1,1,1,1\n1,1,1,1",
    "members of gzip one behind the other": gzip.compress(CSV[:-5]) + gzip.compress(CSV[-5:]),
    "a name twice in an object": LINE.strip()[:-1] + b', "petal_width": 2.5}\n',
    "decimals": parquet_of(TABLE.set_column(3, "petal_width", TABLE[3].cast(pa.decimal128(12, 2)))),
    "a header alone": CSV.partition(b"\n")[0],
    "text beside that is no UTF-8, and is not looked at": parquet_of(
        TABLE.append_column("note", pa.array([b"\xff"] * 10).view(pa.string()))
    ),
}


async def test_every_broken_file_gets_a_reason_and_no_worker_is_lost(jobs: Jobs, run_job: RunJob):
    refused, failed = {}, {}
    files = BROKEN | {file.name: file.content for file in broken_files()}
    for name, content in files.items():
        try:
            job_id = await jobs.submitted(content, model="iris")
        except CallerError as error:
            refused[name] = str(error)
            continue
        job = await run_job(job_id)
        assert job.status is JobStatus.FAILED, name
        failed[name] = (job.error.code, job.error.message)

    assert len(refused) + len(failed) == len(files) >= 150
    assert {code for code, _ in failed.values()} == {"unreadable_input", "columns_do_not_fit"}, failed
    assert all(len(message) > 20 for _, message in failed.values())
    assert (await run_job(await jobs.submitted(LINE, model="iris"))).status is JobStatus.SUCCEEDED


async def test_files_that_are_merely_odd_are_predicted(jobs: Jobs, run_job: RunJob):
    for name, content in ODD.items():
        job = await run_job(await jobs.submitted(content, model="iris"))

        assert job.status is JobStatus.SUCCEEDED, (name, job.error)
