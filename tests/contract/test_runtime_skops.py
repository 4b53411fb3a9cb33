"""Files of skops answer as the estimators that they were saved from, and run nothing."""

import io
import json
import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from shared.catalog.verdict import Layout
from tests.fixtures.tables import answers_of
from tests.fixtures.training import churn_pipeline, churn_rows
from workers.host.runtimes.skops import SkopsRuntime
from workers.host.runtimes.skops_types import TRUSTED

X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names[Y]
FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)
MODELS = [
    LogisticRegression(max_iter=1000),
    RandomForestClassifier(3, random_state=0),
    GridSearchCV(LogisticRegression(max_iter=1000), {"C": [0.1, 1]}, cv=FOLDS, scoring="f1_macro"),
    HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]),
    GaussianProcessClassifier(1.0 * Matern() + WhiteKernel(), optimizer=None),
    make_pipeline(SplineTransformer(), FunctionTransformer(np.log1p), LogisticRegression(max_iter=1000)),
    CalibratedClassifierCV(LogisticRegression(max_iter=1000), cv=2),
    MLPClassifier((4,), max_iter=2000, random_state=0),
    KNeighborsClassifier(metric="manhattan", algorithm="ball_tree"),
    StackingClassifier([("trees", RandomForestClassifier(2, random_state=0))], cv=2),
]


def saved(model: object, tmp_path: Path) -> Path:
    skops.io.dump(model, tmp_path / "model.zip")
    return (tmp_path / "model.zip").rename(tmp_path / "model")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_an_estimator_answers_as_it_did(open_model, tmp_path, model):
    rows = np.floor(X)
    model = model.fit(rows, NAMES)
    host, verdict = open_model(saved(model, tmp_path))

    given = answers_of(host, rows)

    assert (verdict.status, verdict.format, verdict.runtime) == ("ready", "skops", "skops")
    assert verdict.signature.classes == ["setosa", "versicolor", "virginica"]
    assert verdict.libraries["scikit-learn"].artifact == sklearn.__version__
    assert given["label"] == model.predict(rows).tolist()
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(rows), rtol=1e-9)


def test_a_pipeline_on_a_table_takes_its_columns(open_model, tmp_path):
    table, _ = churn_rows(50)
    model = churn_pipeline()
    host, verdict = open_model(saved(model, tmp_path))

    given = answers_of(host, table)

    assert verdict.signature.layout is Layout.TABLE
    assert given["label"] == model.predict(table).tolist()


def test_columns_chosen_by_their_types_are_known(open_model, tmp_path):
    table = pd.DataFrame({"size": X[:, 0], "kind": np.where(Y == 0, "a", "b")})
    numbers, texts = (
        make_column_selector(dtype_include="number"),
        make_column_selector(dtype_exclude="number"),
    )
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), texts))
    model = make_pipeline(columns, Ridge()).fit(table, X[:, 1])

    host, _ = open_model(saved(model, tmp_path))

    np.testing.assert_allclose(answers_of(host, table, ["label"])["label"], model.predict(table), rtol=1e-12)


def test_a_model_of_trees_gets_its_engine(open_model, tmp_path):
    host, _ = open_model(saved(RandomForestClassifier(20, random_state=0).fit(X, NAMES), tmp_path))

    engine = host.accelerate(timeout_s=60)

    assert engine.rows_compared > 0


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (make_pipeline(FunctionTransformer(os.system), Ridge()), "posix.system"),
        (make_pipeline(FunctionTransformer(np.load), Ridge()), "numpy.load"),
        (make_pipeline(FunctionTransformer(random.seed), Ridge()), "random"),
        (
            RandomizedSearchCV(Ridge(), {"alpha": scipy.stats.loguniform(0.1, 1)}, n_iter=1, cv=2).fit(X, Y),
            "rv_continuous_frozen",
        ),
    ],
    ids=["a command", "a reader of files", "another library", "a distribution"],
)
def test_what_was_not_looked_at_is_refused_by_its_name(open_model, tmp_path, model, name):
    _, verdict = open_model(saved(model, tmp_path))

    assert (verdict.status, verdict.reason.code) == ("rejected", "types_not_trusted")
    assert name in verdict.reason.message


def test_nothing_that_could_reach_out_is_trusted():
    reaching = (
        "builtins.",
        "os.",
        "posix.",
        "subprocess.",
        "numpy.load",
        "scipy.stats.",
        "joblib.",
        "pickle.",
    )

    assert not [name for name in TRUSTED if name.startswith(reaching) or "PyFunc" in name]


def test_a_file_of_another_version_says_so(open_model, artifact_of, tmp_path):
    path = saved(Ridge().fit(X, Y), tmp_path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["schema.json"] = parts["schema.json"].replace(sklearn.__version__.encode(), b"1.2.3")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)

    contents = SkopsRuntime().read(artifact_of(path))
    _, verdict = open_model(path)

    assert contents.needs == {"skops": None, "scikit-learn": "1.2.3"}
    assert "1.2.3" in verdict.warnings[0]


def test_a_file_that_breaks_off_is_refused_for_that(open_model, tmp_path):
    path = saved(Ridge().fit(X, Y), tmp_path)
    path.write_bytes(path.read_bytes()[:-300])

    _, verdict = open_model(path)

    assert verdict.reason.code == "truncated_file"


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"__class__": "Ridge", "__module__": "os", "__loader__": "X"}),
    ],
    ids=["empty", "a list", "no class", "deep", "unknown loader"],
)
def test_nonsense_in_the_schema_is_refused(open_model, tmp_path, schema):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("schema.json", schema)
    path = tmp_path / "model"
    path.write_bytes(content.getvalue())

    _, verdict = open_model(path)

    assert (verdict.status, verdict.runtime) == ("rejected", "skops")
    assert verdict.reason.remedy


def test_an_archive_that_unpacks_to_too_much_is_refused(open_model, tmp_path):
    path = tmp_path / "model"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("schema.json", "w") as part,
    ):
        for _ in range(130):
            part.write(bytes(1024 * 1024))

    _, verdict = open_model(path)

    assert verdict.reason.code == "archive_entry_too_large"


def test_other_archives_are_not_taken_for_models(artifact_of, tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")

    assert not SkopsRuntime().recognises(artifact_of(path))
