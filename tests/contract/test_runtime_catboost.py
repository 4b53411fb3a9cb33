"""CatBoost's files answer as the models that they were saved from.

The library is in no lock, being large: it is installed beside the tests' own libraries.
"""

import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from uv import find_uv_bin

from shared.catalog.verdict import Datatype, Layout
from tests.fixtures.tables import mixed, numbers
from workers.host.rejection import Rejected
from workers.host.rows import RowReader
from workers.host.runtimes.catboost import CatboostRuntime
from workers.host.runtimes.sklearn import SklearnRuntime

VERSION = "1.2.10"
SMALL: dict[str, Any] = {
    "iterations": 5,
    "depth": 3,
    "verbose": 0,
    "thread_count": 1,
    "allow_writing_files": False,
}
X, Y = numbers()
BOTH = ("label", "probabilities")
WORDS = np.array(["low", "middle", "high"])


@pytest.fixture(scope="module")
def catboost(tmp_path_factory) -> ModuleType:
    folder = tmp_path_factory.mktemp("catboost")
    wanted = [f"catboost=={VERSION}", "graphviz", "six"]  # of what it asks for, all that it imports at once
    command = [find_uv_bin(), "pip", "install", "-q", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--target", folder, *wanted], check=True, timeout=300)
    sys.path.append(str(folder))
    import catboost  # noqa: PLC0415  there only now

    yield catboost
    sys.path.remove(str(folder))


@pytest.fixture
def opened(artifact_of, tmp_path):
    """Saves a model and opens the file."""

    def open_saved(model: Any) -> Any:
        model.save_model(tmp_path / "model")
        return CatboostRuntime().load(artifact_of(tmp_path / "model"))

    return open_saved


@pytest.fixture
def unpickled(artifact_of, tmp_path):
    """Pickles a model and opens the file."""

    def open_pickled(model: Any) -> Any:
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
        return SklearnRuntime().load(artifact_of(tmp_path / "model.pkl"))

    return open_pickled


def test_two_classes_of_text_have_probabilities(catboost, opened):
    named = pd.DataFrame(X, columns=["north", "east", "south", "west"])
    direct = catboost.CatBoostClassifier(**SMALL).fit(named, np.where(Y > 0, "yes", "no"))
    model = opened(direct)

    signature = model.describe(None).signature
    given = model.predict(X, BOTH)

    assert (signature.layout, signature.named, signature.classes) == (Layout.MATRIX, True, ["no", "yes"])
    assert [column.name for column in signature.inputs] == list(named.columns)
    assert model.libraries["catboost"].artifact == VERSION
    assert given["label"].tolist() == direct.predict(named).tolist()
    np.testing.assert_array_equal(given["probabilities"], direct.predict_proba(named))


@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
def test_three_classes_have_three_probabilities(catboost, opened, loss):
    direct = catboost.CatBoostClassifier(**SMALL, loss_function=loss).fit(X, WORDS[Y])
    model = opened(direct)

    signature = model.describe(None).signature
    given = model.predict(X, BOTH)

    assert [column.name for column in signature.inputs] == ["x0", "x1", "x2", "x3"]
    assert [(output.datatype, output.shape) for output in signature.outputs] == [
        (Datatype.BYTES, []),
        (Datatype.FP64, [3]),
    ]
    assert given["label"].tolist() == direct.predict(X).ravel().tolist()
    np.testing.assert_array_equal(given["probabilities"], direct.predict_proba(X))


@pytest.mark.parametrize("labels", [Y > 0, (Y > 0).astype(int)], ids=["booleans", "whole numbers"])
def test_classes_keep_their_type(catboost, opened, labels):
    direct = catboost.CatBoostClassifier(**SMALL).fit(X, labels)
    model = opened(direct)

    assert model.describe(None).signature.classes == sorted(set(labels.tolist()))
    assert model.predict(X, ["label"])["label"].tolist() == np.asarray(direct.predict(X)).tolist()


@pytest.mark.parametrize(
    "loss", ["RMSE", "Poisson", "Quantile:alpha=0.9", "RMSEWithUncertainty", "MultiRMSE"]
)
def test_regressors_answer_values(catboost, opened, loss):
    target = np.column_stack([Y, -Y]) if loss == "MultiRMSE" else Y
    direct = catboost.CatBoostRegressor(**SMALL, loss_function=loss).fit(X, target)
    model = opened(direct)

    signature = model.describe(None).signature

    assert [output.name for output in signature.outputs] == ["label"]
    np.testing.assert_array_equal(model.predict(X, ["label"])["label"], direct.predict(X))


def test_several_labels_a_row_have_a_probability_each(catboost, opened):
    labels = np.column_stack([Y > 0, Y > 1]).astype(int)
    direct = catboost.CatBoostClassifier(**SMALL, loss_function="MultiLogloss").fit(X, labels)
    model = opened(direct)

    given = model.predict(X, BOTH)

    assert model.describe(None).signature.classes is None
    np.testing.assert_array_equal(given["label"], direct.predict(X))
    np.testing.assert_array_equal(given["probabilities"], direct.predict_proba(X))


def test_categories_and_texts_are_text(catboost, opened):
    table, y = mixed()
    table["colour"] = table["colour"].fillna("none").astype(object)
    table["note"] = np.where(y, "quick brown fox", "lazy dog")
    given_as = {"cat_features": ["colour", "floor"], "text_features": ["note"]}
    direct = catboost.CatBoostClassifier(**SMALL, **given_as).fit(table, y)
    model = opened(direct)

    signature = model.describe(None).signature
    columns = [table["amount"].tolist(), *(table[name].astype(str).tolist() for name in table.columns[1:])]
    given = model.predict(RowReader(signature, model.none_columns).from_lists(columns, len(table)), BOTH)

    assert signature.layout is Layout.TABLE
    assert [column.datatype.value for column in signature.inputs] == ["FP64", "BYTES", "BYTES", "BYTES"]
    np.testing.assert_array_equal(given["probabilities"], direct.predict_proba(table))


def test_a_file_tells_its_version_and_breaks_off_where_it_does(catboost, opened, artifact_of, tmp_path):
    opened(catboost.CatBoostRegressor(**SMALL).fit(X, Y))
    path = tmp_path / "model"

    contents = CatboostRuntime().read(artifact_of(path))
    path.write_bytes(path.read_bytes()[:3000])

    assert contents.needs == {"catboost": VERSION}
    with pytest.raises(Rejected) as refused:
        CatboostRuntime().read(artifact_of(path))
    assert refused.value.reason.code == "truncated_file"


def test_a_host_without_the_library_says_what_is_missing(open_model, catboost, tmp_path):
    catboost.CatBoostRegressor(**SMALL).fit(X, Y).save_model(tmp_path / "model")

    _, verdict = open_model(tmp_path / "model")

    assert (verdict.runtime, verdict.reason.code) == ("catboost", "library_missing")
    assert "'catboost'" in verdict.reason.message


@pytest.mark.usefixtures("catboost")
@pytest.mark.parametrize(
    "content",
    [b"CBM1" + bytes(400), b"CBM1\x10\0\0\0" + b"\xff" * 400, b"CBM1\x08\0\0\0" + b"\x04\0\0\0" * 9],
)
def test_nonsense_behind_the_magic_is_refused(artifact_of, tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)

    with pytest.raises(Rejected) as refused:
        CatboostRuntime().load(artifact_of(path))

    assert refused.value.reason.code == "load_failed"


def test_other_files_are_not_taken_for_models(artifact_of, tmp_path):
    path: Path = tmp_path / "model"
    path.write_bytes(b"CBM1")

    assert not CatboostRuntime().recognises(artifact_of(path))


def test_a_pickled_classifier_knows_its_columns_and_answers_a_class(catboost, unpickled):
    named = pd.DataFrame(X, columns=["north", "east", "south", "west"])
    direct = catboost.CatBoostClassifier(**SMALL).fit(named, WORDS[Y])
    model = unpickled(direct)

    signature = model.describe(None).signature
    given = model.predict(named, BOTH)

    assert [column.name for column in signature.inputs] == list(named.columns)
    assert (signature.main.shape, signature.classes) == ([], sorted(set(WORDS)))
    assert given["label"].tolist() == direct.predict(named).ravel().tolist()
    np.testing.assert_array_equal(given["probabilities"], direct.predict_proba(named))


def test_a_pickled_regressor_in_a_pipeline_counts_its_columns(catboost, unpickled):
    direct = make_pipeline(catboost.CatBoostRegressor(**SMALL)).fit(X, Y)
    model = unpickled(direct)

    signature = model.describe(None).signature

    assert [column.name for column in signature.inputs] == ["x0", "x1", "x2", "x3"]
    assert signature.classes is None
    np.testing.assert_array_equal(model.predict(X, ["label"])["label"], direct.predict(X))


def test_a_pickled_model_takes_its_categories_as_text(catboost, unpickled):
    table = pd.DataFrame({"amount": X[:, 0], "colour": np.where(Y, "red", "blue")})
    model = unpickled(catboost.CatBoostClassifier(**SMALL, cat_features=["colour"]).fit(table, Y))

    signature = model.describe(None).signature

    assert [column.datatype.value for column in signature.inputs] == ["FP64", "BYTES"]
