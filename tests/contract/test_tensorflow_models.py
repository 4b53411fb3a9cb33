"""SavedModels and Keras's files in hosts of an environment with TensorFlow. Values are worked by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.catalog.verdict import Layout
from tests.fixtures.environments import Environment, environment_with
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess

pytestmark = pytest.mark.xdist_group("tensorflow")

ROWS = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 1]])
ANSWERS = [[10, -1, 6], [26, -1, 14], [1, 0, 0]]


@pytest.fixture(scope="module")
async def tensorflow_environment() -> AsyncIterator[Environment]:
    async with environment_with("tensorflow") as environment:
        yield environment


@pytest.fixture(scope="module")
def models(tensorflow_environment, tmp_path_factory) -> Path:
    script = Path(__file__).parents[1] / "fixtures" / "tensorflow_models.py"
    return tensorflow_environment.runs(script, tmp_path_factory.mktemp("tensorflow"))


@pytest.fixture
def opens(tensorflow_environment, models):
    """Opens one of the models."""
    yield lambda name, **options: tensorflow_environment.opens(models / name, **options)
    tensorflow_environment.ends_hosts()


def matrix(host: HostProcess, rows: np.ndarray = ROWS) -> list:
    host.submit(PredictCall(rows=len(rows), matrix=[rows.tobytes()]))
    return host.receive(timeout_s=30).outputs["label"]


def tensors(host: HostProcess, *columns: list, outputs: tuple[str, ...]) -> dict:
    host.submit(PredictCall(rows=len(columns[0]), outputs=outputs, columns=columns))
    return host.receive(timeout_s=30).outputs


def inputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(column.name, column.datatype.value, column.shape) for column in verdict.signature.inputs]


def outputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(output.name, output.datatype.value, output.shape) for output in verdict.signature.outputs]


@pytest.mark.parametrize(
    ("name", "form", "library"),
    [
        ("flowers.zip", "savedmodel", "tensorflow"),
        ("flowers.keras", "keras", "keras"),
        ("flowers.h5", "keras-h5", "keras"),
    ],
)
def test_a_model_of_one_table_answers_a_matrix(opens, name, form, library):
    host, verdict = opens(name)

    assert verdict.status == "ready", verdict.reason
    assert verdict.format == form
    assert verdict.libraries[library].artifact == verdict.libraries[library].installed
    assert verdict.signature.layout is Layout.MATRIX
    assert inputs(verdict) == [(f"x{at}", "FP64", []) for at in range(4)]
    assert outputs(verdict) == [("label", "FP64", [3])]
    assert matrix(host) == ANSWERS
    host, _ = opens(name, probe=False, signature=verdict.signature)
    assert matrix(host) == ANSWERS


def test_a_keras_model_takes_and_gives_several_tensors(opens):
    host, verdict = opens("pair.keras")

    assert verdict.status == "ready", verdict.reason
    assert inputs(verdict) == [("image", "FP32", [2, 3]), ("weight", "FP32", [])]
    assert outputs(verdict) == [("label", "FP64", [1]), ("largest", "FP64", [1])]
    image = [[1.0, 2, 3], [4, 5, 6]]
    assert tensors(host, [image, image], [2.0, 0.0], outputs=("label", "largest")) == {
        "label": [[7.0], [0.0]],
        "largest": [[6.0], [6.0]],
    }


def test_a_saved_model_takes_text_and_integers(opens):
    host, verdict = opens("words.zip")

    assert verdict.status == "ready", verdict.reason
    assert inputs(verdict) == [("text", "BYTES", []), ("times", "INT64", [])]
    assert outputs(verdict) == [("label", "INT64", []), ("same", "BYTES", [])]
    assert tensors(host, ["four", "fünf"], [2, 1], outputs=("label", "same")) == {
        "label": [8, 5],
        "same": ["four", "fünf"],
    }


def test_a_length_that_the_model_leaves_open_is_the_samples(opens, tmp_path):
    sample = tmp_path / "rows.parquet"
    pd.DataFrame({"numbers": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}).to_parquet(sample)

    _, unknown = opens("sequences.zip")
    host, verdict = opens("sequences.zip", sample=sample)

    assert unknown.reason.code == "inputs_unknown"
    assert verdict.status == "ready", verdict.reason
    assert [column.name for column in verdict.signature.inputs] == ["x0", "x1", "x2"]
    assert matrix(host, np.array([[1.0, 1.0, 1.0]])) == [3.0]


@pytest.mark.parametrize("name", ["mlflow_keras.zip", "mlflow_graph.zip"])
def test_folders_of_mlflow_with_such_a_model_need_no_mlflow(opens, name):
    host, verdict = opens(name)

    assert verdict.status == "ready", verdict.reason
    assert verdict.format == "mlflow"
    assert matrix(host) == ANSWERS


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("doubled.keras", "code_in_model"),
        ("weights.weights.h5", "weights_without_code"),
        ("empty.zip", "signature_missing"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_remedy(opens, name, code):
    _, verdict = opens(name)

    assert (verdict.status, verdict.reason.code) == ("rejected", code), verdict.reason
    assert verdict.reason.remedy


def test_without_tensorflow_its_models_are_refused_for_that(open_model, models):
    for name in ("flowers.zip", "flowers.keras", "flowers.h5"):
        _, verdict = open_model(models / name)

        assert verdict.reason.code == "library_missing"
