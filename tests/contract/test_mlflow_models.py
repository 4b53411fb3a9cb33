"""Model folders of MLflow: in the platform's own hosts where that goes, else in an environment with it."""

import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import sklearn

from shared.catalog.verdict import Contents, Layout
from tests.fixtures.environments import Environment, environment_with
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess

pytestmark = pytest.mark.xdist_group("mlflow")

ROWS = np.array([[1.0, 2], [5, 6], [0, 0]])
PLANE = [1.0, 5.0, 1.0]  # twice the first, less the second, and one


@pytest.fixture(scope="module")
async def mlflow_environment() -> AsyncIterator[Environment]:
    async with environment_with("mlflow-skinny") as environment:
        yield environment


@pytest.fixture(scope="module")
def models(mlflow_environment, tmp_path_factory) -> Path:
    script = Path(__file__).parents[1] / "fixtures" / "mlflow_models.py"
    return mlflow_environment.runs(script, tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def opens(mlflow_environment, models):
    """Opens one of the models where MLflow is."""
    yield lambda name, **options: mlflow_environment.opens(models / name, **options)
    mlflow_environment.ends_hosts()


def predict(host: HostProcess, rows: int, *outputs: str, **given) -> dict:
    host.submit(PredictCall(rows=rows, outputs=outputs or ("label",), **given))
    return host.receive(timeout_s=30).outputs


def inputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(column.name, column.datatype.value, column.shape) for column in verdict.signature.inputs]


@pytest.fixture
def contents_of(host_template, models):
    """What a host that only reads it tells of one of the models."""

    def read(name: str) -> Contents:
        host, artifact = host_template.spawn(), os.open(models / name, os.O_RDONLY)
        try:
            return host.inspect(artifact, unpacked_bytes=1 << 30, timeout_s=30)
        finally:
            os.close(artifact)
            host.kill()

    return read


def test_an_estimator_in_a_folder_needs_no_mlflow(open_model, models):
    host, verdict = open_model(models / "linear.zip")

    assert verdict.status == "ready", verdict.reason
    assert (verdict.format, verdict.runtime) == ("mlflow", "mlflow")
    assert verdict.estimator == "sklearn.linear_model._base.LinearRegression"
    assert inputs(verdict) == [("width", "FP64", []), ("height", "FP64", [])]
    assert (verdict.signature.layout, verdict.signature.named) == (Layout.MATRIX, True)
    np.testing.assert_allclose(predict(host, 3, matrix=[ROWS.tobytes()])["label"], PLANE, atol=1e-9)
    host, again = open_model(models / "linear.zip", probe=False, signature=verdict.signature)
    assert again.status == "ready", again.reason
    np.testing.assert_allclose(predict(host, 3, matrix=[ROWS.tobytes()])["label"], PLANE, atol=1e-9)


def test_a_folder_is_read_without_being_run(contents_of):
    linear, area = contents_of("linear.zip"), contents_of("area.zip")

    assert linear.needs == {"scikit-learn": sklearn.__version__}
    assert linear.requirements == []
    assert list(area.needs) == ["mlflow"]
    assert area.requirements == ["pandas", "requests>=2"]


def test_a_function_of_mlflow_answers_a_table(opens, contents_of):
    host, verdict = opens("area.zip")

    assert verdict.status == "ready", verdict.reason
    assert verdict.estimator == "mlflow.pyfunc.model"
    assert verdict.libraries["mlflow"].artifact == contents_of("area.zip").needs["mlflow"]
    assert inputs(verdict) == [("width", "FP64", []), ("height", "FP64", []), ("kind", "BYTES", [])]
    assert [(output.name, output.datatype.value) for output in verdict.signature.outputs] == [
        ("label", "FP64"),
        ("kind", "BYTES"),
    ]
    columns = [[2.0, 3.0], [4.0, 5.0], ["a", "é"]]
    assert predict(host, 2, "label", "kind", columns=columns) == {"label": [8.0, 15.0], "kind": ["A", "É"]}


def test_a_function_of_mlflow_answers_tensors(opens):
    host, verdict = opens("sums.zip")

    assert verdict.status == "ready", verdict.reason
    assert inputs(verdict) == [("input", "FP64", [2, 3])]
    matrices = [[[1.0, 2, 3], [4, 5, 6]], [[0.0, 0, 0], [0, 0, 1]]]
    assert predict(host, 2, columns=[matrices]) == {"label": [21.0, 1.0]}


def test_without_mlflow_its_functions_are_refused_for_that(open_model, models):
    _, verdict = open_model(models / "area.zip")

    assert verdict.reason.code == "library_missing"


@pytest.mark.parametrize(
    ("mlmodel", "code"),
    [
        ("flavors: &a", "mlmodel_unfit"),
        ("name: x", "mlmodel_unfit"),
        ("flavors:\n  crate:\n    data: x\n", "flavor_unknown"),
        ("flavors:\n  python_function:\n    x: y\nsignature:\n  inputs: '[}'\n", "mlmodel_unfit"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(open_model, tmp_path, mlmodel, code):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model/MLmodel", mlmodel)

    _, verdict = open_model(tmp_path / "model.zip")

    assert (verdict.status, verdict.reason.code) == ("rejected", code), verdict.reason
