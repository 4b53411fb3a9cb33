"""Estimators that are fitted and sound, and yet have nothing to answer new rows with: what to use instead."""

from typing import Any

from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.preprocessing import MultiLabelBinarizer

from workers.host.rejection import Rejected

_A_CLASSIFIER = "Fit a classifier to its labels and save that, or use an estimator with a `predict` (KMeans)."


def refuse_other_inputs(loaded: Any) -> None:
    """Let through what takes one value a column.

    Raises:
        Rejected: its rows are something else.
    """
    name = type(loaded).__name__
    if isinstance(loaded, MultiLabelBinarizer):
        raise _takes_no_rows(f"A {name} takes a list of labels for each row, of any length.")
    if isinstance(loaded, PatchExtractor):
        raise _takes_no_rows(f"A {name} takes whole images, and makes several rows of each.")
    if isinstance(loaded, FeatureHasher) and loaded.input_type != "dict":
        raise _takes_no_rows(f"A {name} of {loaded.input_type}s takes a list for each row, of any length.")


def refuse_what_knows_its_own_rows(loaded: Any) -> None:
    """Let through what is none of those that describe the very rows they were fitted on.

    Raises:
        Rejected: it is; the reason names its kind.
    """
    name = type(loaded).__name__
    if hasattr(loaded, "novelty"):  # a LocalOutlierFactor
        only = f"A {name} with `novelty=False` only labels the rows that it was fitted on."
        raise Rejected("cannot_predict_new_rows", only, "Fit it with `novelty=True`, and save that.")
    if callable(getattr(loaded, "fit_predict", None)) or hasattr(loaded, "biclusters_"):
        only = f"A {name} only labels the rows that it was fitted on."
        raise Rejected("cannot_predict_new_rows", only, _A_CLASSIFIER)
    if callable(getattr(loaded, "fit_transform", None)):
        raise Rejected(
            "cannot_transform_new_rows",
            f"A {name} only places the rows that it was fitted on.",
            "Use an estimator with a `transform` (PCA, Isomap, KernelPCA), fit it and save that.",
        )
    if callable(getattr(loaded, "kneighbors", None)):
        raise Rejected(
            "finds_neighbours_only",
            f"A {name} finds neighbours and predicts nothing from them.",
            "Save a KNeighborsClassifier or a KNeighborsRegressor; for distances, a KNeighborsTransformer.",
        )
    if hasattr(loaded, "covariance_"):
        raise Rejected(
            "describes_data_only",
            f"A {name} estimates a covariance and predicts nothing from it.",
            "Save an EllipticEnvelope, which tells outliers by it.",
        )


def _takes_no_rows(message: str) -> Rejected:
    return Rejected(
        "inputs_unsupported",
        f"{message} Rows here have one value in each column.",
        "Save a model whose rows do: for features by name a DictVectorizer, for text a HashingVectorizer.",
    )
