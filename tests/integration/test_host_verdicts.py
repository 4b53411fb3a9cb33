"""What a host says of models, and of files that are none."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from shared.catalog.verdict import Datatype, Layout
from tests.fixtures.training import churn_rows, saved

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def numbers(rows: int = 60, columns: int = 3):
    return np.random.default_rng(1).normal(size=(rows, columns))


def types(verdict) -> list[str]:
    return [column.datatype.value for column in verdict.signature.inputs]


def outputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(output.name, output.datatype.value, output.shape) for output in verdict.signature.outputs]


def test_a_model_of_named_columns_that_are_all_numbers_takes_a_matrix(open_model, iris_on_frame):
    _, verdict = open_model(iris_on_frame)

    assert verdict.status == "ready"
    assert (verdict.format, verdict.runtime) == ("joblib", "sklearn")
    assert verdict.estimator == "sklearn.linear_model._logistic.LogisticRegression"
    assert [column.name for column in verdict.signature.inputs] == IRIS
    assert types(verdict) == ["FP64"] * 4
    assert (verdict.signature.named, verdict.signature.layout) == (True, Layout.MATRIX)
    assert outputs(verdict) == [
        ("label", "BYTES", []),
        ("probabilities", "FP64", [3]),
        ("scores", "FP64", [3]),
    ]
    assert verdict.signature.classes == ["setosa", "versicolor", "virginica"]


def test_a_verdict_measures_the_model(open_model, iris_on_frame):
    _, verdict = open_model(iris_on_frame)

    assert verdict.load_time_ms > 0
    assert verdict.memory_bytes > 0
    assert verdict.probe.latency_us > 0
    assert verdict.libraries["scikit-learn"].artifact == sklearn.__version__
    assert verdict.libraries["numpy"].installed == np.__version__


def test_a_model_of_a_bare_array_numbers_its_columns(open_model, iris_on_array):
    _, verdict = open_model(iris_on_array)

    assert verdict.format == "pickle"
    assert [column.name for column in verdict.signature.inputs] == ["x0", "x1", "x2", "x3"]
    assert (verdict.signature.named, verdict.signature.layout) == (False, Layout.MATRIX)
    assert outputs(verdict) == [("label", "INT64", []), ("probabilities", "FP64", [3])]
    assert verdict.signature.classes == [0, 1, 2]


def test_a_pipeline_of_text_and_numbers_takes_a_table_with_examples_it_knows(open_model, churn_pipeline):
    _, verdict = open_model(churn_pipeline)

    assert verdict.signature.layout is Layout.TABLE
    assert types(verdict) == ["FP64", "FP64", "FP64", "BYTES", "BYTES"]
    assert [column.example for column in verdict.signature.inputs][3:] == ["month", "card"]
    assert verdict.signature.inputs[0].example == pytest.approx(48, abs=5)  # the mean age of 18 to 80
    assert verdict.signature.classes == ["no", "yes"]


def test_a_regressor_answers_one_number(open_model, regressor):
    _, verdict = open_model(regressor)

    assert outputs(verdict) == [("label", "FP64", [])]
    assert verdict.signature.classes is None


def test_a_regressor_of_two_targets_answers_two_numbers(open_model, tmp_path):
    path = saved(LinearRegression().fit(numbers(), numbers(columns=2)), tmp_path / "two.joblib")

    _, verdict = open_model(path)

    assert outputs(verdict) == [("label", "FP64", [2])]


def test_a_classifier_of_two_targets_offers_the_probabilities_of_each(open_model, tmp_path):
    targets = np.column_stack([numbers()[:, 0] > 0, np.digitize(numbers()[:, 1], [-0.5, 0.5])])
    model = DecisionTreeClassifier().fit(numbers(), targets.astype(int))

    _, verdict = open_model(saved(model, tmp_path / "two.joblib"))

    assert outputs(verdict) == [
        ("label", "INT64", [2]),
        ("probabilities_0", "FP64", [2]),
        ("probabilities_1", "FP64", [3]),
    ]
    assert [output.classes for output in verdict.signature.outputs] == [None, [0, 1], [0, 1, 2]]


@pytest.mark.parametrize(
    ("model", "further"),
    [
        (IsolationForest(n_estimators=5), ("scores", "FP64", [])),
        (KMeans(2, n_init=1), ("transformed", "FP64", [2])),
    ],
    ids=["outliers", "clusters"],
)
def test_outlier_detectors_and_clusterers_answer_whole_numbers(open_model, tmp_path, model, further):
    _, verdict = open_model(saved(model.fit(numbers()), tmp_path / "model.joblib"))

    assert outputs(verdict) == [("label", "INT64", []), further]


def test_a_classifier_without_probabilities_offers_none(open_model, tmp_path):
    path = saved(SVC().fit(numbers(), numbers()[:, 0] > 0), tmp_path / "svc.joblib")

    _, verdict = open_model(path)

    assert outputs(verdict) == [("label", "BOOL", []), ("scores", "FP64", [])]
    assert verdict.signature.classes == [False, True]


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_compressed_joblib_file_opens(open_model, tmp_path, training, compress):
    path = saved(training.regressor(), tmp_path / "model.joblib", compress=(compress, 3))

    _, verdict = open_model(path)

    assert (verdict.status, verdict.format) == ("ready", "joblib")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_opens(open_model, tmp_path, training, protocol):
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps(training.iris_on_frame(), protocol=protocol))

    _, verdict = open_model(path)

    assert (verdict.status, verdict.format) == ("ready", "pickle")


def test_a_model_of_texts_takes_one_column_of_text(open_model, tmp_path):
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(["good film", "bad film"], ["up", "down"])

    _, verdict = open_model(saved(model, tmp_path / "texts.joblib"))

    assert [(column.name, column.datatype) for column in verdict.signature.inputs] == [
        ("text", Datatype.BYTES)
    ]
    assert verdict.signature.layout is Layout.TABLE


def test_types_are_found_through_searches_stacks_and_calibration(open_model, tmp_path):
    X, y = churn_rows(200)
    X = X[["contract", "monthly_charge"]]
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["contract"])], remainder="passthrough")
    tree = make_pipeline(encoder, DecisionTreeClassifier())
    stack = StackingClassifier([("tree", tree)], LogisticRegression(), cv=2)
    search = GridSearchCV(CalibratedClassifierCV(stack, cv=2), {"method": ["sigmoid"]}, cv=2).fit(X, y)

    _, verdict = open_model(saved(search, tmp_path / "deep.joblib"))

    assert verdict.status == "ready", verdict.reason
    assert types(verdict) == ["BYTES", "FP64"]


def test_categories_of_a_gradient_boosting_are_found(open_model, tmp_path):
    X, y = churn_rows(200)
    X = X[["contract", "age"]].astype({"contract": "category"})
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(X, y)

    _, verdict = open_model(saved(model, tmp_path / "boosted.joblib"))

    assert verdict.status == "ready", verdict.reason
    assert types(verdict) == ["BYTES", "FP64"]


def test_categories_that_are_whole_numbers_stay_whole(open_model, tmp_path):
    X = pd.DataFrame({"branch": [3, 7, 3, 7], "sum": [1.0, 2.0, 3.0, 4.0]})
    encoder = ColumnTransformer([("codes", OrdinalEncoder(), ["branch"])], remainder="passthrough")
    model = make_pipeline(encoder, DecisionTreeClassifier()).fit(X, [0, 1, 0, 1])

    _, verdict = open_model(saved(model, tmp_path / "codes.joblib"))

    assert types(verdict) == ["INT64", "FP64"]
    assert verdict.signature.inputs[0].example == 3


def test_code_of_somebody_else_gets_the_table_that_it_was_trained_on(open_model, tmp_path):
    X = pd.DataFrame(numbers(), columns=["a", "b", "c"])
    by_name = FunctionTransformer(cloudpickle.loads(cloudpickle.dumps(lambda table: table[["a"]])))
    model = make_pipeline(by_name, LinearRegression()).fit(X, X["a"])
    path = tmp_path / "own_code.pkl"
    path.write_bytes(cloudpickle.dumps(model))

    _, verdict = open_model(path)

    assert verdict.status == "ready", verdict.reason
    assert verdict.signature.layout is Layout.TABLE


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_sample_gives_types_and_examples(open_model, tmp_path, suffix):
    X, y = churn_rows(100)
    X = X.assign(age=40, member=True)[["age", "member", "monthly_charge", "contract"]]
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["contract"])], remainder="passthrough")
    model = make_pipeline(encoder, DecisionTreeClassifier()).fit(X, y)
    sample = tmp_path / f"sample.{suffix}"
    rows = X.head(3).assign(churned="no")  # a column more than the model takes
    if suffix == "csv":
        rows.to_csv(sample, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(rows), sample)

    _, verdict = open_model(saved(model, tmp_path / "model.joblib"), sample=sample)

    assert types(verdict) == ["INT64", "BOOL", "FP64", "BYTES"]
    examples = [column.example for column in verdict.signature.inputs]
    assert examples == [40, True, X["monthly_charge"][0], X["contract"][0]]
    assert verdict.probe.rows == 3


def test_a_model_that_does_not_say_what_it_takes_needs_a_sample(open_model, tmp_path):
    class Doubling:
        def predict(self, table):
            return 2 * table["a"]

    path = tmp_path / "silent.pkl"
    path.write_bytes(cloudpickle.dumps(Doubling()))
    sample = tmp_path / "sample.csv"
    sample.write_text("a\n1.5\n")

    _, without = open_model(path)
    _, with_sample = open_model(path, sample=sample)

    assert without.reason.code == "inputs_unknown"
    assert "`sample`" in without.reason.remedy
    assert [column.name for column in with_sample.signature.inputs] == ["a"]
    assert with_sample.estimator.endswith("Doubling")


@pytest.mark.parametrize(
    ("sample", "says"),
    [("a,b\n", "no rows"), ("x,y\n1,2\n", "lacks the column(s) sepal_length"), ("", "cannot be read")],
)
def test_a_sample_that_does_not_fit_is_named(open_model, iris_on_frame, tmp_path, sample, says):
    path = tmp_path / "sample.csv"
    path.write_text(sample)

    _, verdict = open_model(iris_on_frame, sample=path)

    assert verdict.reason.code == "sample_unusable"
    assert says in verdict.reason.message


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(100)


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "{}")
    return content.getvalue()


def array() -> bytes:
    content = io.BytesIO()
    np.save(content, numbers())
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "empty_file", "empty"),
        (b"sepal_length,species\n5.1,setosa\n", "not_a_model", "a table in CSV"),
        (b"x0,x1\n1,2\n", "not_a_model", "a table in CSV"),  # begins as zlib might
        (json.dumps({"weights": [1, 2]}).encode(), "not_a_model", "JSON"),
        (b"<!DOCTYPE html><html></html>", "not_a_model", "HTML"),
        (png(), "not_a_model", "a PNG image"),
        (zipped("hello.txt"), "not_a_model", "a zip archive"),
        (zipped("archive/data.pkl"), "not_a_model", "PyTorch"),
        (zipped("schema.json"), "load_failed", "skops cannot open"),
        (array(), "not_a_model", "NumPy array"),
        (gzip.compress(b"just some text"), "not_a_model", "plain text, compressed with gzip"),
        (bytes(range(256)) * 8, "not_a_model", "no kind that is known"),
        (b"\x04\x22\x4d\x18" + bytes(50), "compression_unknown", "lz4"),
        (b"\x80\x04\x95", "truncated_file", "breaks off"),
        (b"\x80\x04not really a pickle.", "load_failed", "cannot be loaded"),
        (pickle.dumps({"a": 1}), "not_an_estimator", "dict"),
        (pickle.dumps(pd.DataFrame({"a": [1]})), "not_an_estimator", "DataFrame"),
        (pickle.dumps(Counter("abc")), "not_an_estimator", "Counter"),
        (pickle.dumps(LogisticRegression), "class_not_instance", "class LogisticRegression"),
        (pickle.dumps(LogisticRegression()), "not_fitted", "has not been fitted"),
        (pickle.dumps(make_pipeline(StandardScaler(), SVC())), "not_fitted", "Pipeline"),
        (pickle.dumps(DBSCAN().fit(numbers())), "cannot_predict_new_rows", "DBSCAN"),
        (b"\x80\x04ccatboost.core\nCatBoostClassifier\n.", "library_missing", "'catboost'"),
        (b"\x80\x04csklearn.linear_model.logistic\nLogistic\n.", "version_mismatch", "another version"),
        (b"\x80\x04cnumpy\nno_such_thing\n.", "name_missing", "numpy.no_such_thing"),
        (b"\x80\x04c__main__\nMyModel\n.", "class_not_importable", "'MyModel'"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused_with_a_reason_and_a_remedy(open_model, tmp_path, content, code, says):
    path = tmp_path / "upload"
    path.write_bytes(content)

    _, verdict = open_model(path)

    assert verdict.status == "rejected"
    assert (verdict.reason.code, says in verdict.reason.message) == (code, True), verdict.reason
    assert verdict.reason.remedy
    assert "/" not in verdict.reason.message


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gzip", "bz2", "xz"]
)
@pytest.mark.parametrize("part", [0.3, 0.7, 0.99])
def test_a_file_that_breaks_off_is_told_from_one_that_is_wrong(
    open_model, tmp_path, iris_on_array, pack, part
):
    whole = pack(iris_on_array.read_bytes())
    path = tmp_path / "upload"
    path.write_bytes(whole[: int(len(whole) * part)])

    _, verdict = open_model(path)

    assert verdict.reason.code == "truncated_file"


def test_a_joblib_file_that_breaks_off_in_an_array_is_told(open_model, tmp_path):
    path = saved(LinearRegression().fit(numbers(60, 4000), numbers()[:, 0]), tmp_path / "model.joblib")
    path.write_bytes(path.read_bytes()[:20_000])

    _, verdict = open_model(path)

    assert verdict.reason.code == "truncated_file"


def test_a_bundle_says_where_in_it_the_model_is(open_model, tmp_path, training):
    path = saved({"version": 3, "clf": training.regressor()}, tmp_path / "bundle.joblib")

    _, verdict = open_model(path)

    assert verdict.reason.code == "not_an_estimator"
    assert "bundle['clf']" in verdict.reason.remedy


def test_a_search_without_refit_says_so(open_model, tmp_path):
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2, refit=False)
    path = saved(search.fit(numbers(), numbers()[:, 0] > 0), tmp_path / "search.joblib")

    _, verdict = open_model(path)

    assert verdict.reason.code == "search_without_model"


def as_if_saved_with(version: str, path: Path) -> Path:
    """The bytes say another version of the same length."""
    path.write_bytes(path.read_bytes().replace(sklearn.__version__.encode(), version.encode()))
    return path


def test_a_model_of_another_version_that_still_answers_is_served_with_a_warning(
    open_model, tmp_path, training
):
    path = as_if_saved_with("1.3.2", saved(training.regressor(), tmp_path / "old.joblib"))

    _, verdict = open_model(path)

    assert verdict.status == "ready"
    assert verdict.libraries["scikit-learn"].artifact == "1.3.2"
    assert "1.3.2" in verdict.warnings[0]


def test_a_model_of_another_version_that_breaks_says_which_version_to_use(open_model, tmp_path, training):
    model = training.iris_on_frame()
    del model.classes_  # as if that version had called it something else
    path = as_if_saved_with("1.3.2", saved(model, tmp_path / "old.joblib"))

    _, verdict = open_model(path)

    assert verdict.reason.code == "version_mismatch"
    assert "1.3.2" in verdict.reason.message
    assert sklearn.__version__ in verdict.reason.remedy


def test_a_model_that_fails_on_a_made_up_row_asks_for_a_sample(open_model, tmp_path):
    def logarithm(X):
        if (np.asarray(X) <= 1).any():
            raise ValueError("not above one")
        return np.log(X)

    model = make_pipeline(FunctionTransformer(logarithm), LinearRegression())
    X = np.abs(numbers()) + 2
    path = tmp_path / "log.pkl"
    model.fit(X, X[:, 0])
    path.write_bytes(cloudpickle.dumps(model))
    sample = tmp_path / "sample.csv"
    sample.write_text("a,b,c\n2,3,4\n")

    _, without = open_model(path)
    _, with_sample = open_model(path, sample=sample)

    assert without.reason.code in ("probe_failed", "inputs_unknown")
    assert "`sample`" in without.reason.remedy
    assert with_sample.status == "ready", with_sample.reason


def test_a_known_signature_opens_without_a_probe(open_model, churn_pipeline):
    _, first = open_model(churn_pipeline)

    _, again = open_model(churn_pipeline, probe=False, signature=first.signature)

    assert again.status == "ready"
    assert again.signature == first.signature
    assert again.probe is None


def test_two_hosts_may_open_one_descriptor(open_model, iris_on_array):
    with iris_on_array.open("rb") as file:
        file.seek(100)
        same = Path(f"/proc/self/fd/{file.fileno()}")

        verdicts = [open_model(same)[1].status for _ in range(2)]

        assert (verdicts, file.tell()) == (["ready", "ready"], 100)
