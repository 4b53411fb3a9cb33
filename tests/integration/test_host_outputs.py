"""What a model host makes of unusual outputs."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, SparsePCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  to import an IterativeImputer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, PowerTransformer

from tests.fixtures.training import saved
from workers.hosting.call import PredictCall

X, SPECIES = load_iris(return_X_y=True)


@pytest.fixture
def opened(open_model, tmp_path):
    return lambda model: open_model(saved(model, tmp_path / "model.joblib"))


def ask(host, rows, *outputs):
    matrix = np.asarray(rows, np.float64)
    host.submit(PredictCall(rows=len(matrix), outputs=outputs or None, matrix=[matrix.tobytes()]))
    return host.receive(timeout_s=30).outputs


def test_what_is_asked_for_without_a_name_is_the_main_output(opened):
    model = PCA(2).fit(X)
    host, _ = opened(model)

    answered = ask(host, X[:3])

    np.testing.assert_allclose(answered["transformed"], model.transform(X[:3]), rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [HashingVectorizer(), PolynomialFeatures(5).fit(np.ones((1, 16)))],  # 2**20; 21 over 5 = 20,349
    ids=["sparse", "dense"],
)
def test_more_numbers_a_row_than_are_served_are_refused(opened, model):
    _, verdict = opened(model)

    assert verdict.reason.code == "output_too_wide"
    assert "10,000" in verdict.reason.message


def test_thousands_of_numbers_a_row_are_served(opened):
    host, verdict = opened(PolynomialFeatures(5).fit(np.ones((1, 12))))

    assert verdict.signature.main.shape == [6188]  # 17 over 5
    assert len(ask(host, np.ones((2, 12)))["transformed"][1]) == 6188


def test_a_wide_vectorizer_before_a_model_is_served(opened):
    model = make_pipeline(HashingVectorizer(), LogisticRegression()).fit(["good", "bad"], ["yes", "no"])

    _, verdict = opened(model)

    assert verdict.status == "ready", verdict.reason


def test_a_transformer_that_keeps_no_column_is_refused(opened):
    _, verdict = opened(SelectKBest(k=0).fit(X, SPECIES))

    assert verdict.reason.code == "output_empty"


@pytest.mark.parametrize(
    "model",
    [
        DummyClassifier(strategy="uniform").fit(X, SPECIES),
        IterativeImputer(sample_posterior=True, max_iter=1).fit(np.where(X > 7, np.nan, X)),
    ],
    ids=["guesses", "imputes"],
)
@pytest.mark.filterwarnings("ignore:.*IterativeImputer. Early stopping")  # one round is enough here
def test_a_model_that_draws_lots_is_not_deterministic(opened, model):
    _, verdict = opened(model)

    assert (verdict.status, verdict.deterministic) == ("ready", False)


def test_a_row_alone_is_answered_as_a_row(opened):
    """A SparsePCA gives one row without the dimension of rows."""
    model = SparsePCA(3, max_iter=20, random_state=0).fit(X)
    host, verdict = opened(model)

    answered = ask(host, X[:1])["transformed"]

    assert verdict.signature.main.shape == [3]
    np.testing.assert_allclose(answered, model.transform(X[:2])[:1], rtol=1e-9)


def test_a_model_that_refuses_zeros_is_tried_with_ones(opened):
    host, verdict = opened(PowerTransformer(method="box-cox").fit(X))

    assert [column.example for column in verdict.signature.inputs] == [1.0] * 4
    assert len(ask(host, X[:5])["transformed"]) == 5


def test_a_further_output_of_another_shape_is_not_offered_and_said(opened):
    vote = VotingClassifier(
        [("a", GaussianNB()), ("b", GaussianNB())], voting="soft", flatten_transform=False
    )

    _, verdict = opened(vote.fit(X, SPECIES))

    assert [output.name for output in verdict.signature.outputs] == ["label", "probabilities"]
    assert "transformed" in verdict.warnings[0]


def test_scores_of_a_compiled_model_are_its_own(opened):
    model = LogisticRegression(max_iter=1000).fit(X, SPECIES)
    host, _ = opened(model)
    engine = host.accelerate(timeout_s=60)

    answered = ask(host, X[:9], "label", "scores")

    assert engine.compiled, engine.why
    assert answered["label"] == model.predict(X[:9]).tolist()
    assert answered["scores"] == model.decision_function(X[:9]).tolist()


def test_a_transformer_that_gives_a_table_is_served(opened):
    table = pd.read_csv(io.StringIO("a,b\n1,2\n3,5\n8,13\n"))
    model = PCA(2).set_output(transform="pandas").fit(table)
    host, _ = opened(model)

    answered = ask(host, table)["transformed"]

    np.testing.assert_allclose(answered, model.transform(table).to_numpy(), rtol=1e-9, atol=1e-12)
