"""What a verdict reads like."""

import pytest

from shared.catalog.telling import told
from shared.catalog.verdict import (
    Column,
    Contents,
    Datatype,
    Engine,
    EnvironmentRef,
    Import,
    Layout,
    Library,
    Output,
    Reason,
    Signature,
    Verdict,
)
from workers.predict.admission import told_of


def named(standing: str, count: int) -> list[Import]:
    return [Import(module="m", name=f"n{at}", standing=standing) for at in range(count)]


@pytest.mark.parametrize(
    ("imports", "sentence"),
    [
        (named("allowed", 1), "Opening it imports 1 name: 1 that plain models of scikit-learn need."),
        (
            named("unknown", 2),
            "Opening it imports 2 names: 2 of other libraries or of its owner's code.",
        ),
        (named("dangerous", 1), "Opening it imports 1 name: 1 that can run or reach anything."),
    ],
)
def test_names_are_counted_in_words(imports, sentence):
    assert told(Verdict(status="ready", imports=imports, imports_count=len(imports))) == [sentence]


def test_outputs_are_listed_and_articles_fit():
    outputs = [Output(name=name, datatype=Datatype.FP64) for name in ("label", "probabilities", "scores")]
    signature = Signature(
        inputs=[Column(name="a", datatype=Datatype.FP64)], named=True, layout=Layout.TABLE, outputs=outputs
    )

    sentences = told(
        Verdict(status="ready", format="onnx", estimator="ONNX graph, opset 21", signature=signature)
    )

    assert sentences == [
        "The file is of format onnx, which holds an ONNX graph, opset 21.",
        "It takes 1 column by name and answers label, probabilities and scores.",
    ]


def test_a_library_that_only_its_environment_has_is_not_called_missing():
    contents = Contents(
        format="pickle", runtime="sklearn", libraries={"xgboost": Library(artifact="3.2.0", installed=None)}
    )
    placed = EnvironmentRef(id="5db9", packages={"python": "3.11.7", "xgboost-cpu": "3.2.0"})

    verdict = told_of(Verdict(status="ready", environment=placed), contents)

    assert verdict.libraries["xgboost"].installed == "3.2.0"
    assert told(verdict)[1:] == [
        "It was made with xgboost 3.2.0, and gets the same here.",
        "It is served in an environment of its own, with python 3.11.7 and xgboost-cpu 3.2.0.",
    ]


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (Engine(name="native", why=""), "Real-time answers are computed by the model itself."),
        (
            Engine(name="linear", why="", speed_up={"1": 23.4}),
            "Real-time answers are computed by linear, which is 23 times as fast as the model itself.",
        ),
    ],
)
def test_who_answers_is_told_with_what_it_gains(engine, sentence):
    assert told(Verdict(status="ready", engine=engine)) == [sentence]


def test_a_rejection_ends_with_what_to_do():
    reason = Reason(code="not_fitted", message="It was never fitted", remedy="Call `fit` first")

    assert told(Verdict(status="rejected", reason=reason)) == [
        "Rejected: It was never fitted.",
        "Call `fit` first.",
    ]
