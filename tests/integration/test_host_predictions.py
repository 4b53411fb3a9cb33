"""Hosts answer as scikit-learn does when it is called directly."""

from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from tests.fixtures.training import churn_rows, saved
from workers.hosting.call import PredictCall, Prediction, SlotInput
from workers.hosting.errors import ModelFailed
from workers.hosting.process import HostProcess

LABELS = ("label",)
BOTH = ("label", "probabilities")


def predict(host: HostProcess, rows: int, outputs: Sequence[str] = LABELS, **given: Any) -> Prediction:
    host.submit(PredictCall(rows=rows, outputs=outputs, **given))
    return host.receive(timeout_s=30)


def flowers(rows: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 8, size=(rows, 4))


def lists_of(table: pd.DataFrame) -> list[list[Any]]:
    return [[None if pd.isna(value) else value for value in table[name].tolist()] for name in table.columns]


def arrow_of(table: pd.DataFrame) -> bytes:
    content = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, content.schema) as stream:
        stream.write_table(content, max_chunksize=100)
    return sink.getvalue().to_pybytes()


def test_labels_and_probabilities_are_those_of_the_estimator(open_model, iris_on_frame):
    host, _ = open_model(iris_on_frame)
    X, direct = flowers(50), joblib.load(iris_on_frame)
    named = pd.DataFrame(X, columns=direct.feature_names_in_)

    prediction = predict(host, 50, BOTH, matrix=[X.tobytes()])

    assert prediction.outputs["label"] == direct.predict(named).tolist()
    np.testing.assert_allclose(prediction.outputs["probabilities"], direct.predict_proba(named), rtol=1e-12)
    assert prediction.compute_ns > 0


def test_rows_in_several_buffers_are_one_matrix(open_model, iris_on_array):
    host, _ = open_model(iris_on_array)
    X, direct = flowers(30), joblib.load(iris_on_array)

    prediction = predict(host, 30, matrix=[row.tobytes() for row in X])

    assert prediction.outputs["label"] == direct.predict(X).tolist()


def test_numbers_can_be_had_as_arrays(open_model, iris_on_array):
    host, _ = open_model(iris_on_array)
    X, direct = flowers(20), joblib.load(iris_on_array)

    prediction = predict(host, 20, BOTH, matrix=[X.tobytes()], reply_as="arrays")

    np.testing.assert_array_equal(prediction.outputs["label"], direct.predict(X))
    np.testing.assert_array_equal(prediction.outputs["probabilities"], direct.predict_proba(X))


@pytest.mark.parametrize("rows", [1, 2048, 2049, 16_384, 100_000])
def test_large_inputs_and_replies_travel_in_shared_memory(open_model, iris_on_frame, rows):
    host, _ = open_model(iris_on_frame)
    X, direct = flowers(rows), joblib.load(iris_on_frame)
    named = pd.DataFrame(X, columns=direct.feature_names_in_)

    prediction = predict(host, rows, BOTH, matrix=[X.data.cast("B")], reply_as="arrays")

    assert prediction.outputs["label"] == direct.predict(named).tolist()
    # A table lies in memory the other way round, so sums differ in the last bit.
    np.testing.assert_allclose(prediction.outputs["probabilities"], direct.predict_proba(named), rtol=1e-12)


def test_a_caller_may_write_its_rows_into_the_slot(open_model, regressor):
    host, _ = open_model(regressor)
    X, direct = np.random.default_rng(1).normal(size=(10_000, 3)), joblib.load(regressor)
    np.frombuffer(host.slot(X.nbytes), np.float64)[:] = X.ravel()

    prediction = predict(host, 10_000, slot=SlotInput("matrix", X.nbytes), reply_as="arrays")

    np.testing.assert_array_equal(prediction.outputs["label"], direct.predict(X))


def test_two_calls_may_be_on_their_way_at_once(open_model, regressor):
    host, _ = open_model(regressor)
    direct = joblib.load(regressor)
    batches = [np.full((rows, 3), float(rows)) for rows in (20_000, 1, 40_000, 7)]
    answers = []

    def send(batch):
        host.submit(PredictCall(rows=len(batch), matrix=[batch.tobytes()], reply_as="arrays"))

    send(batches[0])
    for batch in batches[1:]:
        send(batch)
        answers.append(host.receive(timeout_s=30))
    answers.append(host.receive(timeout_s=30))

    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_array_equal(answer.outputs["label"], direct.predict(batch))


def test_a_third_call_at_once_is_a_mistake(open_model, regressor):
    host, _ = open_model(regressor)
    call = PredictCall(rows=1, matrix=[bytes(24)])

    host.submit(call)
    host.submit(call)

    with pytest.raises(RuntimeError, match="2 calls at a time"):
        host.submit(call)


def test_a_table_of_lists_is_answered_with_its_gaps(open_model, churn_pipeline):
    host, _ = open_model(churn_pipeline)
    X, direct = churn_rows(300)[0], joblib.load(churn_pipeline)

    prediction = predict(host, 300, BOTH, columns=lists_of(X))

    assert prediction.outputs["label"] == direct.predict(X).tolist()
    assert prediction.outputs["probabilities"] == direct.predict_proba(X).tolist()


def test_a_table_of_arrow_is_answered_with_its_gaps(open_model, churn_pipeline):
    host, _ = open_model(churn_pipeline)
    X, direct = churn_rows(5_000)[0], joblib.load(churn_pipeline)
    stream = arrow_of(X.assign(note="not for the model")[[*X.columns[::-1], "note"]])
    host.slot(len(stream))[:] = stream

    prediction = predict(host, 5_000, BOTH, slot=SlotInput("arrow", len(stream)), reply_as="arrays")

    assert prediction.outputs["label"] == direct.predict(X).tolist()
    np.testing.assert_array_equal(prediction.outputs["probabilities"], direct.predict_proba(X))


def test_whole_numbers_in_arrow_are_taken_for_numbers(open_model, churn_pipeline):
    host, _ = open_model(churn_pipeline)
    X, direct = churn_rows(100)[0], joblib.load(churn_pipeline)
    X = X.astype({"tenure_months": int})
    stream = arrow_of(X)
    host.slot(len(stream))[:] = stream

    prediction = predict(host, 100, slot=SlotInput("arrow", len(stream)))

    assert prediction.outputs["label"] == direct.predict(X).tolist()


def test_none_stays_none_where_it_was_none_in_training(open_model, tmp_path):
    X = pd.DataFrame({"payment": np.array(["card", None] * 10, object)}, dtype=object)
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["payment"])])
    model = make_pipeline(encoder, DecisionTreeClassifier()).fit(X, [0, 1] * 10)
    host, verdict = open_model(saved(model, tmp_path / "none.joblib"))

    prediction = predict(host, 3, columns=[["card", None, "card"]])

    assert verdict.status == "ready", verdict.reason
    assert prediction.outputs["label"] == [0, 1, 0]


def test_texts_are_answered(open_model, tmp_path):
    texts = ["good film", "bad film", "good good", "bad bad"]
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(texts, ["up", "down"] * 2)
    host, _ = open_model(saved(model, tmp_path / "texts.joblib"))

    prediction = predict(host, 2, columns=[["bad", "good"]])

    assert prediction.outputs["label"] == ["down", "up"]


def test_several_targets_are_answered(open_model, tmp_path):
    X = flowers(40)
    two_numbers = LinearRegression().fit(X, X[:, :2] * 2)
    two_texts = DecisionTreeClassifier().fit(X, np.where(X[:, :2] > 4, "high", "low"))
    numbers_host, _ = open_model(saved(two_numbers, tmp_path / "numbers.joblib"))
    texts_host, _ = open_model(saved(two_texts, tmp_path / "texts.joblib"))

    numbers = predict(numbers_host, 40, matrix=[X.tobytes()], reply_as="arrays")
    texts = predict(texts_host, 40, matrix=[X.tobytes()], reply_as="arrays")

    np.testing.assert_array_equal(numbers.outputs["label"], two_numbers.predict(X))
    assert texts.outputs["label"] == two_texts.predict(X).tolist()


def test_jobs_of_a_model_run_in_its_own_process(open_model, tmp_path):
    X = flowers(100)
    model = RandomForestClassifier(10, n_jobs=-1, random_state=0).fit(X, X[:, 0] > 4)
    host, _ = open_model(saved(model, tmp_path / "forest.joblib"))

    prediction = predict(host, 100, matrix=[X.tobytes()])

    assert prediction.outputs["label"] == model.predict(X).tolist()


def test_what_the_model_does_not_accept_is_its_error_and_not_the_end(open_model, iris_on_frame):
    host, _ = open_model(iris_on_frame)
    gap = np.array([[1.0, 2.0, np.nan, 4.0]])

    host.submit(PredictCall(rows=1, matrix=[gap.tobytes()]))
    host.submit(PredictCall(rows=1, matrix=[flowers(1).tobytes()]))

    with pytest.raises(ModelFailed, match="ValueError: Input X contains NaN"):
        host.receive(timeout_s=30)
    assert len(host.receive(timeout_s=30).outputs["label"]) == 1


def test_bytes_of_the_wrong_length_are_refused(open_model, iris_on_frame):
    host, _ = open_model(iris_on_frame)

    with pytest.raises(ModelFailed):
        predict(host, 2, matrix=[bytes(8 * 7)])


def test_a_host_opened_with_a_known_signature_answers_alike(open_model, churn_pipeline):
    X = churn_rows(20)[0]
    first, verdict = open_model(churn_pipeline)
    again, _ = open_model(churn_pipeline, probe=False, signature=verdict.signature)

    answers = [predict(host, 20, columns=lists_of(X)).outputs for host in (first, again)]

    assert answers[0] == answers[1]


def test_classes_of_numpy_text_are_plain_text(open_model, tmp_path):
    model = LogisticRegression().fit(flowers(10), np.array(["yes", "no"] * 5, dtype="U3"))
    host, _ = open_model(saved(model, tmp_path / "text.joblib"))

    answer = predict(host, 1, matrix=[flowers(1).tobytes()]).outputs["label"][0]

    assert type(answer) is str
