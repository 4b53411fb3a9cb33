"""XGBoost's files answer as the boosters that they were saved from."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

from shared.catalog.verdict import Datatype, Layout
from tests.fixtures.tables import answers_of, as_categories, mixed, numbers
from workers.host.rejection import Rejected
from workers.host.runtimes.xgboost import XgboostRuntime
from workers.hosting.errors import ModelFailed

SMALL = {"n_estimators": 5, "max_depth": 3, "n_jobs": 1}
X, Y = numbers()
NAMED = pd.DataFrame(X, columns=["north", "east", "south", "west"])


def saved(model: Any, tmp_path: Path, *, form: str = "ubj") -> Path:
    model.save_model(tmp_path / f"model.{form}")
    return (tmp_path / f"model.{form}").rename(tmp_path / "model")


def trained(label: Any = Y, rows: Any = X, **parameters: Any) -> xgboost.Booster:
    given = {"nthread": 1} | parameters
    return xgboost.train(given, xgboost.DMatrix(rows, label), 5)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_classifier_answers_labels_and_probabilities(open_model, tmp_path, form):
    model = XGBClassifier(**SMALL).fit(X, Y)
    host, verdict = open_model(saved(model, tmp_path, form=form))

    given = answers_of(host, X)

    assert (verdict.status, verdict.runtime, verdict.format) == ("ready", "xgboost", f"xgboost-{form}")
    assert verdict.libraries["xgboost"].artifact == xgboost.__version__
    assert verdict.signature.layout is Layout.MATRIX
    assert verdict.signature.classes == [0, 1, 2]
    assert given["label"] == model.predict(X).tolist()
    np.testing.assert_array_equal(np.float32(given["probabilities"]), model.predict_proba(X))


@pytest.mark.parametrize("kind", [XGBClassifier, XGBRFClassifier])
def test_two_classes_have_two_probabilities(open_model, tmp_path, kind):
    model = kind(**SMALL).fit(NAMED, Y > 0)
    host, verdict = open_model(saved(model, tmp_path))

    given = answers_of(host, X)

    assert [column.name for column in verdict.signature.inputs] == list(NAMED.columns)
    assert verdict.signature.classes == [0, 1]
    assert given["label"] == model.predict(NAMED).tolist()
    np.testing.assert_array_equal(np.float32(given["probabilities"]), model.predict_proba(NAMED))


def test_a_booster_of_probabilities_is_a_classifier_too(open_model, tmp_path):
    booster = trained(Y > 0, objective="binary:logistic")
    host, _ = open_model(saved(booster, tmp_path))

    given = answers_of(host, X)

    direct = booster.predict(xgboost.DMatrix(X))
    np.testing.assert_array_equal(np.float32(given["probabilities"])[:, 1], direct)
    assert given["label"] == (direct > 0.5).astype(int).tolist()


def test_softmax_answers_labels_with_probabilities(open_model, tmp_path):
    classes = {"num_class": 3}
    booster, beside = (trained(objective=f"multi:{kind}", **classes) for kind in ("softmax", "softprob"))
    host, _ = open_model(saved(booster, tmp_path))

    given = answers_of(host, X)

    assert given["label"] == booster.predict(xgboost.DMatrix(X)).astype(int).tolist()
    np.testing.assert_allclose(given["probabilities"], beside.predict(xgboost.DMatrix(X)), rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "label"),
    [
        ({"objective": "reg:squarederror"}, X[:, 0]),
        ({"objective": "count:poisson"}, Y),
        ({"objective": "survival:cox"}, Y + 1),
        ({"objective": "binary:logitraw"}, Y > 0),
        ({"objective": "binary:hinge"}, Y > 0),
        ({"objective": "reg:squarederror", "booster": "gblinear"}, Y),
        ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5}, Y),
        ({"objective": "reg:squarederror"}, np.column_stack([Y, -Y])),
        ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, Y),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_other_objectives_answer_values(open_model, tmp_path, parameters, label):
    label = np.nan_to_num(label.astype(float))
    booster = trained(label, **parameters)
    host, verdict = open_model(saved(booster, tmp_path))

    given = answers_of(host, X, ["label"])

    direct = booster.predict(xgboost.DMatrix(X))
    assert [output.name for output in verdict.signature.outputs] == ["label"]
    assert verdict.signature.outputs[0].shape == list(direct.shape[1:])
    np.testing.assert_allclose(given["label"], direct, rtol=1e-6)  # dart adds its trees up in another order


def test_several_labels_a_row_have_a_probability_each(open_model, tmp_path):
    labels = np.column_stack([Y > 0, Y > 1]).astype(int)
    model = XGBClassifier(**SMALL).fit(X, labels)
    host, verdict = open_model(saved(model, tmp_path))

    given = answers_of(host, X)

    assert verdict.signature.classes is None
    assert given["label"] == model.predict(X).astype(int).tolist()
    np.testing.assert_array_equal(np.float32(given["probabilities"]), model.predict_proba(X))


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_categories_of_a_table_are_taken_by_their_names(open_model, tmp_path, form):
    table, y = mixed()
    model = XGBClassifier(**SMALL, enable_categorical=True).fit(as_categories(table), y)
    host, verdict = open_model(saved(model, tmp_path, form=form))

    given = answers_of(host, table)

    assert verdict.signature.layout is Layout.TABLE
    assert [(column.name, column.datatype) for column in verdict.signature.inputs] == [
        ("amount", Datatype.FP64),
        ("colour", Datatype.BYTES),
        ("floor", Datatype.INT64),
    ]
    assert [column.example for column in verdict.signature.inputs] == [0.0, "red", 10]
    direct = model.predict_proba(as_categories(table))
    np.testing.assert_array_equal(np.float32(given["probabilities"]), direct)


def test_a_category_that_training_did_not_see_is_an_error_that_says_so(open_model, tmp_path):
    table, y = mixed()
    model = XGBClassifier(**SMALL, enable_categorical=True).fit(as_categories(table), y)
    host, _ = open_model(saved(model, tmp_path))

    with pytest.raises(ModelFailed, match=r"'pink'.*'colour'.*red, green, blue"):
        answers_of(host, table[:1].assign(colour="pink"))


def test_categories_that_xgboost_saved_wrongly_are_refused(open_model, tmp_path):
    table, y = mixed()
    table["colour"] = table["colour"].astype(object).replace({"green": "grün"})
    table["colour"] = pd.Categorical(table["colour"])
    model = XGBClassifier(**SMALL, enable_categorical=True).fit(table.drop(columns="floor"), y)

    _, verdict = open_model(saved(model, tmp_path))

    assert verdict.reason.code == "categories_unreadable"
    assert "ASCII" in verdict.reason.remedy


def test_early_stopping_answers_as_the_estimator_does(open_model, tmp_path):
    stopping = {"n_estimators": 200, "early_stopping_rounds": 2, "learning_rate": 1.0}
    model = XGBRegressor(**SMALL | stopping).fit(
        X[:200], Y[:200], eval_set=[(X[200:], Y[200:])], verbose=False
    )
    host, _ = open_model(saved(model, tmp_path))

    given = answers_of(host, X, ["label"])

    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    np.testing.assert_array_equal(np.float32(given["label"]), model.predict(X))


def test_a_model_stays_native_and_opens_again(open_model, tmp_path):
    path = saved(XGBClassifier(**SMALL).fit(X, Y), tmp_path)
    host, verdict = open_model(path)

    engine = host.accelerate(timeout_s=60)
    again, known = open_model(path, probe=False, signature=verdict.signature)

    assert (engine.name, known.status) == ("native", "ready")
    assert "its own library answers" in engine.why
    assert answers_of(again, X) == answers_of(host, X)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_file_tells_which_version_it_needs(artifact_of, tmp_path, form):
    artifact = artifact_of(saved(XGBClassifier(**SMALL).fit(X, Y), tmp_path, form=form))

    contents = XgboostRuntime().read(artifact)

    assert contents.needs == {"xgboost": xgboost.__version__}


@pytest.mark.parametrize(
    ("version", "told"), [((2, 1), "2.1"), ((1, 7), "1.7"), ((0, 0), None), ((77, 9), None)]
)
def test_the_old_binary_format_needs_a_version_that_reads_it(
    open_model, artifact_of, tmp_path, version, told
):
    # The beginning of a file as XGBoost 2.1.4 writes it.
    head = struct.pack("<fIiiiIII", 0.47, 3, 0, 1, 0, *version, 1).ljust(136, b"\0")
    names = [struct.pack("<Q", len(name)) + name for name in (b"binary:logistic", b"gbtree")]
    path = tmp_path / "model"
    path.write_bytes(b"".join([b"binf", head, *names, bytes(2000)]))

    contents = XgboostRuntime().read(artifact_of(path))
    _, verdict = open_model(path)

    assert (contents.format, contents.needs) == ("xgboost-binary", {"xgboost": "2.1.4"})
    assert (verdict.reason.code, "save_model" in verdict.reason.remedy) == ("version_mismatch", True)
    assert f"XGBoost {told or 'before 1.0'}," in verdict.reason.message


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_file_that_breaks_off_is_refused(open_model, artifact_of, tmp_path, form):
    path = saved(XGBClassifier(**SMALL).fit(X, Y), tmp_path, form=form)
    path.write_bytes(path.read_bytes()[:-2000] + b"!")

    _, verdict = open_model(path)

    assert (verdict.runtime, verdict.reason.code) == ("xgboost", "truncated_file")
    with pytest.raises(Rejected):
        XgboostRuntime().read(artifact_of(path))


@pytest.mark.parametrize(
    "content",
    [
        b'{"learner":{"attributes":{},"feature_names":[]}}',
        b'{"learner":{"feature_names":[1,2,{}],"learner_model_param":{"num_feature":"-1"}}}',
        b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L\x7f\x00\x00\x00\x00\x00\x00\x07}}",
        b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L\x00\x00\x00\x00\x00\x00\x00\x01a" + b"[" * 999 + b"}",
    ],
    ids=["nothing in it", "nonsense in it", "a name of exabytes", "nested lists"],
)
def test_nonsense_in_the_right_form_is_refused(open_model, tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)

    _, verdict = open_model(path)

    assert (verdict.status, verdict.runtime) == ("rejected", "xgboost")
    assert verdict.reason.remedy


@pytest.mark.parametrize(
    "content", [{"learner": "Ada", "marks": [1, 2]}, {"learner": {"name": "Ada"}}, ["learner"]], ids=str
)
def test_other_json_is_not_taken_for_a_model(artifact_of, tmp_path, content):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(content))

    assert not XgboostRuntime().recognises(artifact_of(path))
