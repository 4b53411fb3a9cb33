"""PyTorch's programs in hosts of an environment that has PyTorch. Expected values are worked by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.catalog.verdict import Layout
from tests.fixtures.environments import Environment, environment_with
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess

pytestmark = pytest.mark.xdist_group("torch")

ROWS = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 1], [2, 1, 0, 0], [9, 9, 9, 9]])
ANSWERS = [[10, -1, 6], [26, -1, 14], [1, 0, 0], [3, 1, 0], [36, 0, 18]]


@pytest.fixture(scope="module")
async def torch_environment() -> AsyncIterator[Environment]:
    async with environment_with("torch") as environment:
        yield environment


@pytest.fixture(scope="module")
def models(torch_environment, tmp_path_factory) -> Path:
    script = Path(__file__).parents[1] / "fixtures" / "torch_models.py"
    return torch_environment.runs(script, tmp_path_factory.mktemp("torch"))


@pytest.fixture
def opens(torch_environment, models):
    """Opens one of the models."""
    yield lambda name, **options: torch_environment.opens(models / name, **options)
    torch_environment.ends_hosts()


def matrix(host: HostProcess, rows: np.ndarray = ROWS) -> list:
    host.submit(PredictCall(rows=len(rows), matrix=[rows.tobytes()]))
    return host.receive(timeout_s=30).outputs["label"]


def tensors(host: HostProcess, *columns: list, outputs: tuple[str, ...] = ("label",)) -> dict:
    host.submit(PredictCall(rows=len(columns[0]), outputs=outputs, columns=columns))
    return host.receive(timeout_s=30).outputs


def outputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(output.name, output.datatype.value, output.shape) for output in verdict.signature.outputs]


def csv_of(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False)
    return path


def test_an_exported_program_answers_a_matrix(opens):
    host, verdict = opens("flowers.pt2")

    assert verdict.status == "ready", verdict.reason
    assert (verdict.format, verdict.runtime) == ("pt2", "torch")
    assert verdict.libraries["torch"].artifact == verdict.libraries["torch"].installed.split("+")[0]
    assert verdict.signature.layout is Layout.MATRIX
    assert [column.name for column in verdict.signature.inputs] == ["x0", "x1", "x2", "x3"]
    assert [round(column.example, 4) for column in verdict.signature.inputs] == [5.1, 3.5, 1.4, 0.2]
    assert outputs(verdict) == [("label", "FP64", [3])]
    assert matrix(host) == ANSWERS


def test_a_program_is_opened_again_by_its_signature(opens):
    _, verdict = opens("flowers.pt2")

    host, again = opens("flowers.pt2", probe=False, signature=verdict.signature)

    assert again.status == "ready", again.reason
    assert matrix(host) == ANSWERS


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("one_row.pt2", "It was saved for one row a call"),
        ("two_rows.pt2", "It was saved for exactly 2 rows a call"),
        ("no_rows.pt2", "It was saved for one row a call"),
        ("three_rows.pt2", None),
    ],
)
def test_a_program_of_a_fixed_size_answers_any_number_of_rows(opens, name, warned):
    host, verdict = opens(name)

    assert verdict.status == "ready", verdict.reason
    assert matrix(host) == ANSWERS
    assert matrix(host, ROWS[:1]) == ANSWERS[:1]
    assert any(warning.startswith(warned) for warning in verdict.warnings) if warned else True


def test_several_tensors_are_taken_and_given_by_name(opens):
    host, verdict = opens("pair.pt2")

    assert verdict.status == "ready", verdict.reason
    assert verdict.signature.layout is Layout.TENSORS
    assert [(c.name, c.datatype.value, c.shape) for c in verdict.signature.inputs] == [
        ("image", "FP32", [2, 3]),
        ("weight", "FP32", []),
    ]
    assert outputs(verdict) == [("label", "FP64", []), ("bright", "BOOL", [])]
    assert "Some of its outputs are not offered: they have not one entry a row." in verdict.warnings
    image = [[1.0, 2, 3], [4, 5, 6]]
    assert tensors(host, [image, image], [2.0, 0.0], outputs=("label", "bright")) == {
        "label": [7.0, 0.0],
        "bright": [True, False],
    }


def test_indexes_stay_integers(opens):
    host, verdict = opens("words.pt2")

    assert verdict.signature.layout is Layout.TENSORS
    assert [(c.datatype.value, c.shape) for c in verdict.signature.inputs] == [("INT64", [3])]
    assert tensors(host, [[0, 0, 4]]) == {"label": [[2, 0, 0, 0, 1]]}


def test_a_script_takes_its_columns_from_a_sample(opens, tmp_path):
    sample = csv_of(tmp_path / "rows.csv", pd.DataFrame(ROWS, columns=["a", "b", "c", "d"]))

    host, verdict = opens("flowers.pt", sample=sample)

    assert verdict.status == "ready", verdict.reason
    assert (verdict.format, verdict.estimator) == ("torchscript", "torch.jit.Flowers")
    assert [column.name for column in verdict.signature.inputs] == ["a", "b", "c", "d"]
    assert verdict.signature.named
    assert matrix(host) == ANSWERS
    host, _ = opens("flowers.pt", probe=False, signature=verdict.signature)
    assert matrix(host) == ANSWERS


def test_a_script_that_wants_indexes_is_found_out_by_trying(opens, tmp_path):
    sample = csv_of(tmp_path / "rows.csv", pd.DataFrame([[0, 1, 4], [1, 1, 1]]))

    host, verdict = opens("words.pt", sample=sample)

    assert verdict.status == "ready", verdict.reason
    assert [(c.name, c.datatype.value, c.shape) for c in verdict.signature.inputs] == [
        ("words", "INT64", [3])
    ]
    host, _ = opens("words.pt", probe=False, signature=verdict.signature)
    assert tensors(host, [[0, 0, 4]]) == {"label": [[2, 0, 0, 0, 1]]}


def test_a_script_may_carry_its_signature(opens):
    host, verdict = opens("told.pt")

    assert verdict.status == "ready", verdict.reason
    assert matrix(host) == ANSWERS


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("flowers.pt", "inputs_unknown"),
        ("texts.pt", "inputs_unsupported"),
        ("weights.pt", "weights_without_code"),
        ("old_weights.pt", "weights_without_code"),
        ("module.pt", "weights_without_code"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_remedy(opens, name, code):
    _, verdict = opens(name)

    assert (verdict.status, verdict.reason.code) == ("rejected", code)
    assert verdict.reason.remedy


def test_without_pytorch_a_program_is_refused_for_that(open_model, models):
    _, verdict = open_model(models / "flowers.pt2")

    assert verdict.reason.code == "library_missing"
