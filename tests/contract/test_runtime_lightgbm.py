"""LightGBM's text answers as the booster that it was saved from."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor

from shared.catalog.verdict import Datatype, Layout
from tests.fixtures.tables import answers_of, as_categories, mixed, numbers
from workers.host.rejection import Rejected
from workers.host.runtimes.lightgbm import LightgbmRuntime

SMALL: dict[str, Any] = {
    "n_estimators": 5,
    "num_leaves": 7,
    "verbose": -1,
    "n_jobs": 1,
    "min_child_samples": 5,
}
X, Y = numbers()
NAMED = pd.DataFrame(X, columns=["north", "east", "south", "west"])


def saved(booster: lightgbm.Booster, tmp_path: Path) -> Path:
    booster.save_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_a_classifier_answers_labels_and_probabilities(open_model, tmp_path, objective):
    model = LGBMClassifier(**SMALL, objective=objective).fit(NAMED, Y)
    host, verdict = open_model(saved(model.booster_, tmp_path))

    given = answers_of(host, X)

    assert (verdict.status, verdict.runtime, verdict.format) == ("ready", "lightgbm", "lightgbm-text")
    assert (verdict.signature.layout, verdict.signature.classes) == (Layout.MATRIX, [0, 1, 2])
    assert [column.name for column in verdict.signature.inputs] == list(NAMED.columns)
    assert given["label"] == model.predict(NAMED).tolist()
    np.testing.assert_array_equal(given["probabilities"], model.predict_proba(NAMED))


def test_two_classes_have_two_probabilities(open_model, tmp_path):
    model = LGBMClassifier(**SMALL).fit(X, np.where(Y > 0, "yes", "no"))
    host, verdict = open_model(saved(model.booster_, tmp_path))

    given = answers_of(host, X)

    assert (verdict.signature.named, verdict.signature.inputs[0].name) == (False, "x0")
    assert "what its classes are called" in verdict.warnings[0]
    assert [["no", "yes"][label] for label in given["label"]] == model.predict(X).tolist()
    np.testing.assert_array_equal(given["probabilities"], model.predict_proba(X))


@pytest.mark.parametrize("objective", ["regression", "poisson", "quantile", "cross_entropy", "regression_l1"])
def test_other_objectives_answer_values(open_model, tmp_path, objective):
    model = LGBMRegressor(**SMALL, objective=objective).fit(X, np.minimum(Y, 1))
    host, verdict = open_model(saved(model.booster_, tmp_path))

    given = answers_of(host, X, ["label"])

    assert [output.name for output in verdict.signature.outputs] == ["label"]
    np.testing.assert_array_equal(given["label"], model.predict(X))


def test_an_objective_of_ones_own_answers_raw_scores(open_model, tmp_path):
    def squared(label, scores):
        return scores - label, np.ones_like(scores)

    model = LGBMRegressor(**SMALL, objective=squared).fit(X, Y)
    host, verdict = open_model(saved(model.booster_, tmp_path))

    assert "raw scores" in verdict.warnings[0]
    np.testing.assert_array_equal(answers_of(host, X, ["label"])["label"], model.predict(X))


def test_categories_of_a_table_are_taken_by_their_names(open_model, tmp_path):
    table, y = mixed()
    model = LGBMClassifier(**SMALL).fit(as_categories(table), y)
    host, verdict = open_model(saved(model.booster_, tmp_path))

    given = answers_of(host, table)

    assert verdict.signature.layout is Layout.TABLE
    assert [(column.name, column.datatype, column.example) for column in verdict.signature.inputs] == [
        ("amount", Datatype.FP64, 0.0),
        ("colour", Datatype.BYTES, "red"),
        ("floor", Datatype.INT64, 10),
    ]
    np.testing.assert_array_equal(given["probabilities"], model.predict_proba(as_categories(table)))


def test_an_unknown_category_counts_as_missing_as_it_does_there(open_model, tmp_path):
    table, y = mixed()
    model = LGBMClassifier(**SMALL).fit(as_categories(table), y)
    host, _ = open_model(saved(model.booster_, tmp_path))

    unknown = answers_of(host, table[:9].assign(colour="pink"))

    direct = model.predict_proba(as_categories(table[:9].assign(colour="pink")))
    np.testing.assert_array_equal(unknown["probabilities"], direct)


def test_codes_of_categories_are_numbers(open_model, tmp_path):
    rows = np.column_stack([X[:, 0], Y])
    model = LGBMClassifier(**SMALL).fit(rows, Y, categorical_feature=[1])
    host, verdict = open_model(saved(model.booster_, tmp_path))

    assert verdict.signature.layout is Layout.MATRIX
    np.testing.assert_array_equal(answers_of(host, rows)["probabilities"], model.predict_proba(rows))


def test_categories_that_cannot_be_told_apart_are_refused(open_model, tmp_path):
    table, y = mixed()
    ordered = as_categories(table)
    ordered["floor"] = ordered["floor"].cat.as_ordered()  # which LightGBM does not split as categories
    model = LGBMClassifier(**SMALL).fit(ordered, y)

    _, verdict = open_model(saved(model.booster_, tmp_path))

    assert verdict.reason.code == "categories_unreadable"


def test_examples_are_those_of_the_sample(open_model, tmp_path):
    table, y = mixed()
    model = LGBMClassifier(**SMALL).fit(as_categories(table), y)
    table[20:].to_csv(tmp_path / "sample.csv", index=False)
    pd.DataFrame({"amount": [1.0]}).to_csv(tmp_path / "other.csv", index=False)
    path = saved(model.booster_, tmp_path)

    _, verdict = open_model(path, sample=tmp_path / "sample.csv")
    _, other = open_model(path, sample=tmp_path / "other.csv")

    shown = [column.example for column in verdict.signature.inputs]
    assert shown == [table[name][20:].dropna().iloc[0] for name in table.columns]
    assert (other.reason.code, "colour, floor" in other.reason.message) == ("sample_unusable", True)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> bytes:
    model = LGBMClassifier(**SMALL).fit(X, Y)
    return saved(model.booster_, tmp_path_factory.mktemp("lightgbm")).read_bytes()


def test_a_file_that_breaks_off_is_refused(open_model, artifact_of, tmp_path, text):
    path = tmp_path / "model"
    path.write_bytes(text[: len(text) // 2])

    _, verdict = open_model(path)

    assert (verdict.runtime, verdict.reason.code) == ("lightgbm", "truncated_file")
    with pytest.raises(Rejected):
        LightgbmRuntime().read(artifact_of(path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"num_class=3", b"num_class=many"),
        (b"feature_names=", b"names="),
        (b"Tree=3\n", b"Tree=x\n"),
        (b"\nsplit_feature=", b"\nsplit_feature=1 1 1 1 1 1 1 1 1 "),
        (b"\npandas_categorical:null", b"\npandas_categorical:{["),
    ],
)
def test_a_file_that_was_changed_is_refused(open_model, tmp_path, text, old, new):
    path = tmp_path / "model"
    path.write_bytes(text.replace(old, new, 1))

    _, verdict = open_model(path)

    assert (verdict.runtime, verdict.reason.code) == ("lightgbm", "load_failed")
    assert "save_model" in verdict.reason.remedy


@pytest.mark.parametrize(
    "content", [b"tree\nversion=old oak\n", b"tree,version\n1,2\n", b"the tree\nversion=v4"]
)
def test_other_text_is_not_taken_for_a_model(artifact_of, tmp_path, content):
    path = tmp_path / "model.txt"
    path.write_bytes(content)

    assert not LightgbmRuntime().recognises(artifact_of(path))
