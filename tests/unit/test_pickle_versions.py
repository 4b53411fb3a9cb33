"""Versions that pickles tell. The bytecode was made by the Pythons that it is told from."""

import pickle

import cloudpickle
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer

from tests.fixtures.artifacts import MakeArtifact
from workers.host.reading.bytecode import closer, python_of
from workers.host.reading.distributions import distributions_of
from workers.host.reading.pickled import pickled_contents

PLAIN_3_11 = "97007c0064017a0000005300"
LOOP_3_11 = (
    "970064017d027c0144005d0d7d037c027c036401190000000000000000007a0d00007d028c0e7c0267017401000000000000000000"
    "007c01a6010000ab0100000000000000007a0500005300"
)
LOOP_3_12 = (
    "970064017d027c0144005d0a00007d037c027c036401190000007a0d00007d028c0c04007c026701740100000000000000007c01ab"
    "010000000000007a0500005300"
)
PLAIN_3_13 = "9500550053012d0000002400"


@pytest.mark.parametrize(
    ("code", "python"),
    [
        (PLAIN_3_11, "3.11 or 3.12"),
        (LOOP_3_11, "3.11"),
        (LOOP_3_12, "3.12"),
        (PLAIN_3_13, "3.13"),
        ("", None),
    ],
)
def test_the_python_that_compiled_a_function_is_told_from_its_code(code, python):
    assert python_of((1, 0, 0, 2, 2, 3, bytes.fromhex(code), *range(11))) == python


def test_older_pythons_are_told_by_the_number_of_arguments():
    assert python_of(tuple(range(16))) == "3.8 to 3.10"
    assert python_of(tuple(range(15))) == "3.7"
    assert python_of(()) is None


def test_of_several_functions_the_most_telling_counts():
    assert closer("3.11 or 3.12", "3.12") == closer("3.12", "3.11 or 3.12") == "3.12"
    assert closer(None, "3.13") == closer("3.13", None) == "3.13"


def test_a_cloudpickled_function_tells_its_python_and_its_modules(artifact: MakeArtifact):
    def doubled(X):
        return [np.log(2 * value) for value in X.sum(axis=1)]

    cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["_"]))
    content = cloudpickle.dumps(FunctionTransformer(doubled).fit(np.ones((2, 2))))

    contents = pickled_contents(artifact(content), runtime="sklearn")

    assert contents.libraries["python"].artifact.startswith("3.")
    assert contents.needs == {"cloudpickle": None}
    assert {each.standing for each in contents.imports} == {"allowed", "unknown"}


def test_another_scikit_learn_is_needed_where_the_file_says_so(artifact: MakeArtifact):
    content = pickle.dumps(LinearRegression().fit([[0.0], [1.0]], [0, 1]))
    older = content.replace(sklearn.__version__.encode(), b"1.2.0")

    contents = pickled_contents(artifact(older), runtime="sklearn")

    assert contents.needs == {"scikit-learn": "1.2.0"}
    assert contents.libraries["scikit-learn"].artifact == "1.2.0"
    assert contents.libraries["numpy"].artifact == "2"


def test_distributions_come_from_a_table_and_never_from_a_name():
    modules = ["imblearn.over_sampling", "umap.umap_", "lightgbm.sklearn", "requests_evil", "lightgbm_"]

    assert distributions_of(modules) == {"imbalanced-learn", "umap-learn", "lightgbm"}
