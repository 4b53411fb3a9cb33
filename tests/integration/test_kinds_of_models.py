"""Models of every kind through the HTTP API: uploaded, asked, and compared with direct calls."""

import io
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.default_rng(5)
X = random.normal(size=(80, 3))
KIND = np.array(["calm", "loud"])[(X[:, 0] > 0).astype(int)]
TEXTS = ["cheap pills", "see you at lunch", "cheap watches, cheap", "lunch tomorrow?"] * 5
FOLDER = ["spam", "mail", "spam", "mail"] * 5
CARS = pd.DataFrame(
    {
        "km": [10.0, np.nan, 90.0, 120.0, 30.0, 60.0],
        "fuel": ["petrol", "diesel", "diesel", None, "petrol", "gas"],
    }
)
PRICES = [9.0, 7.0, 4.0, 2.0, 8.0, 5.0]
PLACES = [{"city": "Rome", "rooms": 2.0}, {"city": "Oslo", "rooms": 1.0}, {"city": "Rome", "rooms": 4.0}] * 4


def cars() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("km", make_pipeline(SimpleImputer(), StandardScaler()), ["km"]),
            ("fuel", OneHotEncoder(handle_unknown="ignore"), ["fuel"]),
        ]
    )


def by_class(model: BaseEstimator, rows: Any) -> list[dict[str, float]]:
    return [dict(zip(map(str, model.classes_), row, strict=True)) for row in model.predict_proba(rows)]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


# The model, rows as its own methods take them, rows as they are sent, and answers by the field they stand in.
Kind = tuple[BaseEstimator, Any, list[Any], list[str], Callable[[Any, Any], dict[str, Any]]]


def numbers(model: BaseEstimator, outputs: list[str], answers: Callable[[Any, Any], dict[str, Any]]) -> Kind:
    return model, X[:7], X[:7].tolist(), outputs, answers


KINDS: dict[str, Kind] = {
    "classifier": numbers(
        LogisticRegression().fit(X, KIND),
        ["label", "probabilities", "scores"],
        lambda model, rows: {
            "predictions": model.predict(rows),
            "probabilities": by_class(model, rows),
            "scores": model.decision_function(rows),
        },
    ),
    "search": numbers(
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}, cv=2).fit(X, KIND),
        ["label", "probabilities"],
        lambda model, rows: {"predictions": model.predict(rows), "probabilities": by_class(model, rows)},
    ),
    "two-labels": numbers(
        RandomForestClassifier(5).fit(X, np.column_stack([KIND, np.where(X[:, 1] > 0, "up", "down")])),
        ["label", "probabilities_1"],
        lambda model, rows: {
            "predictions": model.predict(rows),
            "outputs": {
                "probabilities_1": [
                    {"down": row[0], "up": row[1]} for row in model.predict_proba(rows)[1].tolist()
                ]
            },
        },
    ),
    "two-numbers": numbers(
        LinearRegression().fit(X, X[:, :2] * [2.0, -1.0] + 1.0),
        ["label"],
        lambda model, rows: {"predictions": model.predict(rows)},
    ),
    "clusters": numbers(
        KMeans(3, n_init=1, random_state=0).fit(X),
        ["label", "transformed"],
        lambda model, rows: {"predictions": model.predict(rows), "transformed": model.transform(rows)},
    ),
    "outliers": numbers(
        IsolationForest(n_estimators=10, random_state=0).fit(X),
        ["label", "scores"],
        lambda model, rows: {"predictions": model.predict(rows), "scores": model.decision_function(rows)},
    ),
    "mixture": numbers(
        GaussianMixture(2, random_state=0).fit(X),
        ["label", "probabilities", "scores"],
        lambda model, rows: {
            "predictions": model.predict(rows),
            "probabilities": model.predict_proba(rows),
            "scores": model.score_samples(rows),
        },
    ),
    "density": numbers(
        KernelDensity().fit(X), ["scores"], lambda model, rows: {"predictions": model.score_samples(rows)}
    ),
    "transformer": numbers(
        make_pipeline(StandardScaler(), PCA(2)).fit(X),
        ["transformed"],
        lambda model, rows: {"predictions": model.transform(rows)},
    ),
    "text": (
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, FOLDER),
        TEXTS[:4],
        [{"text": text} for text in TEXTS[:4]],
        ["label", "probabilities"],
        lambda model, rows: {"predictions": model.predict(rows), "probabilities": by_class(model, rows)},
    ),
    "text-to-numbers": (
        TfidfVectorizer().fit(TEXTS),
        TEXTS[:4],
        [[text] for text in TEXTS[:4]],
        ["transformed"],
        lambda model, rows: {"predictions": model.transform(rows).toarray()},
    ),
    "table": (
        make_pipeline(cars(), LinearRegression()).fit(CARS, PRICES),
        CARS,
        records(CARS),
        ["label"],
        lambda model, rows: {"predictions": model.predict(rows)},
    ),
    "table-to-numbers": (
        cars().fit(CARS),
        CARS,
        records(CARS),
        ["transformed"],
        lambda model, rows: {"predictions": model.transform(rows)},
    ),
    "dicts": (
        make_pipeline(DictVectorizer(), LinearRegression()).fit(PLACES, [3.0, 2.0, 5.0] * 4),
        PLACES[:3],
        PLACES[:3],
        ["label"],
        lambda model, rows: {"predictions": model.predict(rows)},
    ),
}


def content_of(model: BaseEstimator) -> bytes:
    written = io.BytesIO()
    joblib.dump(model, written)
    return written.getvalue()


def assert_same(answered: Any, direct: Any) -> None:
    if isinstance(direct, dict):
        assert answered.keys() == direct.keys()
        for name, value in direct.items():
            assert_same(answered[name], value)
    elif isinstance(direct, list) and isinstance(direct[0], dict):
        for one, other in zip(answered, direct, strict=True):
            assert one == pytest.approx(other, abs=1e-12)
    elif np.asarray(direct).dtype.kind == "f":
        np.testing.assert_allclose(answered, direct, rtol=1e-9, atol=1e-12)
    else:
        assert answered == np.asarray(direct).tolist()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_answers_over_http_as_it_does_directly(api, kind):
    model, rows, sent, outputs, answers = KINDS[kind]
    async with api.client() as client:
        uploaded = await client.post(
            "/api/v1/models/upload", data={"name": kind}, files={"file": ("model.joblib", content_of(model))}
        )
        assert uploaded.json().get("status") == "ready", uploaded.text

        main = await client.post(f"/api/v1/predict/{kind}", json={"inputs": sent})
        all_of_them = await client.post(f"/api/v1/predict/{kind}", json={"inputs": sent, "outputs": outputs})
        one = await client.post(f"/api/v1/predict/{kind}", json={"input": sent[0], "outputs": outputs})

    direct = answers(model, rows)
    assert_same(main.json()["predictions"], direct["predictions"])
    for field, values in direct.items():
        assert_same(all_of_them.json()[field], values)
    assert_same([one.json()["prediction"]], direct["predictions"][:1])
    assert one.json().keys() - main.json().keys() == {"prediction", *direct.keys()} - {"predictions"}


async def test_an_output_that_a_model_lacks_is_refused_with_those_it_has(api):
    async with api.client() as client:
        await client.post(
            "/api/v1/models/upload",
            data={"name": "line"},
            files={"file": ("model.joblib", content_of(LinearRegression().fit(X, X[:, 0])))},
        )

        answer = await client.post(
            "/api/v1/predict/line", json={"input": [1, 2, 3], "outputs": ["probabilities"]}
        )

    assert answer.status_code == 422
    assert "it has label" in answer.json()["detail"]
