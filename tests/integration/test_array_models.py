"""A model of arrays, through real hosts and real jobs."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.jobs.job import JobStatus
from shared.predictions.body import BodyReader
from shared.predictions.predict_body import PredictBody
from shared.predictions.tensors import join_tensors
from shared.predictions.v2 import encode_answer
from tests.fixtures.array_runtime import MAGIC, SIGNATURE, array_template
from tests.fixtures.formats import arrow_stream
from tests.fixtures.jobs import succeeded
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate

IMAGE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
TURNED = [[2.0, 8.0], [4.0, 10.0], [6.0, 12.0]]  # of the same, at the age of 2
V2 = {
    "inputs": [
        {"name": "image", "datatype": "FP32", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6]},
        {"name": "age", "datatype": "INT64", "shape": [1], "data": [2]},
    ]
}


@pytest.fixture(scope="module")
def host_template() -> Iterator[HostTemplate]:
    yield from array_template()


@pytest.fixture
def arrays_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.arrays"
    path.write_bytes(MAGIC)
    return path


def predicted(host: HostProcess, *bodies: PredictBody, **given: Any) -> Any:
    rows = [body.rows.rows for body in bodies]
    tensors = join_tensors([body.rows.body for body in bodies], rows, SIGNATURE.inputs)
    host.submit(PredictCall(rows=sum(rows), tensors=tensors, **given))
    return host.receive(timeout_s=30).outputs["label"]


def images(count: int) -> pa.Table:
    flat = pa.array(np.arange(count * 6, dtype=np.float32))
    nested = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, 3), 2)
    return pa.table(
        {"image": nested, "age": pa.array([2] * count), "name": [f"n{at}" for at in range(count)]}
    )


def turned(count: int) -> np.ndarray:
    return np.arange(count * 6, dtype=np.float64).reshape(count, 2, 3).transpose(0, 2, 1) * 2


def test_a_model_of_arrays_is_ready_and_answers_alike_whatever_the_form(open_model, arrays_file):
    host, verdict = open_model(arrays_file)
    reader = BodyReader(verdict.signature)
    json = reader.read_json(msgspec.json.encode({"input": {"image": IMAGE, "age": 2}}))
    tensors = reader.read_json(msgspec.json.encode(V2))
    arrow = reader.read_arrow(arrow_stream(pa.table({"image": [IMAGE], "age": [2]})))

    assert (verdict.status, verdict.signature, verdict.deterministic) == ("ready", SIGNATURE, True)
    assert predicted(host, json) == [TURNED]
    assert predicted(host, json, tensors, arrow) == [TURNED] * 3


def test_arrays_too_large_for_the_socket_go_beside_it_both_ways(open_model, arrays_file):
    host, verdict = open_model(arrays_file)
    body = BodyReader(verdict.signature).read_arrow(arrow_stream(images(5000)))

    answer = predicted(host, body, reply_as="arrays")

    np.testing.assert_array_equal(answer, turned(5000))


def test_answers_of_arrays_are_tensors_of_their_shape(open_model, arrays_file):
    host, verdict = open_model(arrays_file)
    body = BodyReader(verdict.signature).read_json(msgspec.json.encode(V2))
    outputs = {"label": predicted(host, body)}

    answer = encode_answer(outputs, body.v2, signature=SIGNATURE, model="turn", version=1)

    [tensor] = msgspec.json.decode(answer.body)["outputs"]
    assert (tensor["shape"], tensor["data"]) == ([1, 3, 2], [2.0, 8.0, 4.0, 10.0, 6.0, 12.0])


async def test_a_job_answers_arrays_as_lists_beside_the_columns_of_its_file(
    serve_model, jobs, run_job, arrays_file
):
    await serve_model("turn", arrays_file)
    file = io.BytesIO()
    pq.write_table(images(300), file, row_group_size=110)

    job_id = await jobs.submitted(file.getvalue(), model="turn")
    job = await run_job(job_id)

    assert succeeded(job), job.error
    result = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert result.column_names == ["image", "age", "name", "prediction"]
    assert result["name"].to_pylist() == [f"n{at}" for at in range(300)]
    assert result["prediction"].to_pylist() == turned(300).tolist()


async def test_a_job_that_would_write_arrays_into_csv_fails_and_says_why(
    serve_model, jobs, run_job, arrays_file
):
    await serve_model("turn", arrays_file)
    file = io.BytesIO()
    pq.write_table(images(3), file)

    job_id = await jobs.submitted(file.getvalue(), model="turn", output_format="csv", include="none")
    job = await run_job(job_id)

    assert job.status is JobStatus.FAILED
    assert "answers arrays of shape [3, 2], which CSV cannot hold" in job.error.message
