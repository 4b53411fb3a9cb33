"""What is predicted where no output is asked for by name: the first of the signature's."""

import io
import json
from uuid import UUID

import msgspec
import pyarrow as pa
import pytest

from shared.catalog.verdict import Datatype, Output
from shared.jobs.job import FileFormat
from shared.jobs.order import Order
from shared.predictions.body import BodyReader
from tests.unit.signatures import IRIS, iris
from workers.hosting.call import Prediction
from workers.jobs.batch import rows_a_batch
from workers.jobs.columns import use_columns
from workers.jobs.prediction_columns import prediction_columns

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture
def transformer():
    outputs = [
        Output(name="transformed", datatype=Datatype.FP64, shape=[2]),
        Output(name="scores", datatype=Datatype.FP64),
    ]
    return msgspec.structs.replace(iris(), outputs=outputs, classes=None)


@pytest.fixture
def read(transformer):
    return BodyReader(transformer).read


def test_json_that_fits_asks_for_it(read):
    body = read(None, None, json.dumps({"input": ROW}).encode())

    assert body.outputs == ("transformed",)


def test_json_that_is_read_with_care_asks_for_it(read):
    unusual = {"input": {**dict(zip(IRIS, ROW, strict=True)), "more": 1}, "outputs": None}

    body = read(None, None, json.dumps(unusual).encode())

    assert body.outputs == ("transformed",)


def test_an_arrow_stream_asks_for_it(read):
    written = io.BytesIO()
    batch = pa.record_batch({name: [value] for name, value in zip(IRIS, ROW, strict=True)})
    with pa.ipc.new_stream(written, batch.schema) as stream:
        stream.write_batch(batch)

    body = read(b"application/vnd.apache.arrow.stream", None, written.getvalue())

    assert body.outputs == ("transformed",)


def test_the_inference_protocol_gives_scores_only_on_request(read):
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}

    unnamed = read(None, None, json.dumps({"inputs": [tensor]}).encode())
    named = read(
        None, None, json.dumps({"inputs": [tensor], "outputs": [{"name": "score_samples"}]}).encode()
    )

    assert (unnamed.outputs, named.outputs) == (("transformed",), ("scores",))


def test_a_job_writes_a_column_for_each_of_its_numbers(transformer):
    order = Order(
        job_id=UUID(int=1),
        input_key="in",
        input_format=FileFormat.CSV,
        output_format=FileFormat.CSV,
        output_columns=[],
        version_id=UUID(int=2),
        artifact_key="model",
        signature=transformer,
    )

    schema = use_columns(order, IRIS).predictions
    columns = prediction_columns(
        Prediction(outputs={"transformed": [[1.0, 2.0], [3.0, 4.0]]}, compute_ns=1), order.outputs, schema
    )

    assert schema.names == ["prediction_0", "prediction_1"]
    assert [column.to_pylist() for column in columns] == [[1.0, 3.0], [2.0, 4.0]]


def test_wide_predictions_make_small_batches(transformer):
    wide = [Output(name="transformed", datatype=Datatype.FP64, shape=[8192])]

    assert rows_a_batch([transformer.main], 10_000) == 10_000
    assert rows_a_batch(wide, 10_000) == 512
