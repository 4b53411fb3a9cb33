"""Every fitted estimator of scikit-learn is served as it answers when it is called directly, or refused
with a reason that says what to save instead."""

import re
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy.sparse import issparse

from shared.catalog.verdict import Layout
from tests.fixtures.estimators import METHODS, Case, cases, names
from workers.hosting.call import PredictCall

# What does not answer new rows, and the reason's code. docs/reference/estimators.md says the same.
REFUSED: dict[str, str] = {
    "AgglomerativeClustering": "cannot_predict_new_rows",
    "ClassicalMDS": "cannot_transform_new_rows",
    "DBSCAN": "cannot_predict_new_rows",
    "EmpiricalCovariance": "describes_data_only",
    "GraphicalLasso": "describes_data_only",
    "GraphicalLassoCV": "describes_data_only",
    "HDBSCAN": "cannot_predict_new_rows",
    "LedoitWolf": "describes_data_only",
    "MDS": "cannot_transform_new_rows",
    "MinCovDet": "describes_data_only",
    "MultiLabelBinarizer": "inputs_unsupported",
    "NearestNeighbors": "finds_neighbours_only",
    "OAS": "describes_data_only",
    "OPTICS": "cannot_predict_new_rows",
    "PatchExtractor": "inputs_unsupported",
    "ShrunkCovariance": "describes_data_only",
    "SpectralBiclustering": "cannot_predict_new_rows",
    "SpectralClustering": "cannot_predict_new_rows",
    "SpectralCoclustering": "cannot_predict_new_rows",
    "SpectralEmbedding": "cannot_transform_new_rows",
    "TSNE": "cannot_transform_new_rows",
}
SERVED = [name for name in names() if name not in REFUSED]

# What scikit-learn says of estimators that are fitted as its own tests make them, on few rows.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{told}")
    for told in (
        ".*converge",  # those tests allow a few iterations only
        "Class PassiveAggressive",  # it leaves with the next release
        "The default value",  # of MDS, HDBSCAN, LogisticRegressionCV changes with it
        "The total space of parameters",  # their grids are small
        "n_quantiles|n_components > n_samples",  # and 60 rows are few
        "Maximum number of iteration|Orthogonal matching pursuit ended",
    )
]


@pytest.fixture
def opened(open_model, tmp_path):
    """The case's estimator, saved and opened."""

    def open_(case: Case):
        sample = None
        if case.sample is not None:
            sample = tmp_path / "sample.csv"
            case.sample.to_csv(sample, index=False)
        path = tmp_path / "model.joblib"
        joblib.dump(case.estimator, path)
        return open_model(path, sample=sample)

    return open_


@pytest.mark.parametrize("name", SERVED)
def test_what_is_served_answers_as_direct_calls_do(opened, name):
    for case in cases(name):
        host, verdict = opened(case)

        assert verdict.status == "ready", verdict.reason
        signature = verdict.signature
        offered = [output.name for output in signature.outputs]
        assert verdict.deterministic
        assert {output.partition("_")[0] for output in offered} == expected_outputs(case), verdict.warnings
        host.submit(call_for(case, signature, offered))
        answered = host.receive(timeout_s=30).outputs
        for output in offered:
            assert_same(answered[output], case.direct(output))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_why(opened, name):
    case = next(cases(name))

    _, verdict = opened(case)

    assert verdict.status == "rejected"
    assert verdict.reason.code == REFUSED[name]
    assert name in verdict.reason.message
    assert verdict.reason.remedy


def test_the_documentation_names_what_is_refused():
    page = Path(__file__).parents[2] / "docs" / "reference" / "estimators.md"

    rows = [re.findall(r"`(\w+)`", line) for line in page.read_text().splitlines() if line.startswith("| `")]
    documented = {name: code for code, *kinds in rows for name in kinds}

    assert {name: documented.get(name) for name in REFUSED} == REFUSED
    assert documented.keys() & set(names()) <= REFUSED.keys()


def expected_outputs(case: Case) -> set[str]:
    has = {name: any(hasattr(case.estimator, method) for method in METHODS[name]) for name in METHODS}
    if has["label"]:
        return {name for name in METHODS if has[name]}
    return {"transformed"} if has["transformed"] else {"scores"}


def call_for(case: Case, signature, outputs: list[str]) -> PredictCall:
    rows = len(case.columns[0])
    if signature.layout is Layout.MATRIX:
        matrix = np.array(case.columns, np.float64).T.tobytes()
        return PredictCall(rows=rows, outputs=outputs, matrix=[matrix])
    return PredictCall(rows=rows, outputs=outputs, columns=case.columns)


def assert_same(answered, direct) -> None:
    wanted = np.asarray(direct.toarray() if issparse(direct) else direct)
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(np.array(answered, np.float64), wanted, rtol=1e-9, atol=1e-9)
    else:
        assert answered == wanted.tolist()
