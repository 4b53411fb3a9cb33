"""What all models have in common that their own library answers for, whatever they take."""

from collections.abc import Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from shared.catalog.verdict import Library, Signature
from workers.host.error_text import describe
from workers.host.rejection import Rejected

LABEL = "label"
Answers = dict[str, NDArray[Any]]

_CHECK = "Check that the sample holds rows as the model was trained on, and that each gets an answer."
_SEND = "Upload it with a `sample`: a CSV or Parquet file of some rows it takes."


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a model; see `LoadedModel` for what each means."""

    format: str
    estimator: str
    libraries: dict[str, Library]
    warnings: list[str] = []


class LibraryModel:
    """A model that takes missing values as NaN and draws no lots; see `LoadedModel` for its attributes."""

    none_columns: frozenset[str] = frozenset()

    def __init__(self, facts: Facts, fitted: Any = None) -> None:
        self.fitted = fitted
        self.format, self.estimator = facts.format, facts.estimator
        self.libraries, self.warnings = facts.libraries, facts.warnings

    def accept(self, signature: Signature) -> None:
        """The file has said it all."""

    def draws(self) -> bool:
        """Only trying it tells."""
        return False


def refuse_other_counts(answers: Mapping[str, NDArray[Any]], rows: int) -> None:
    """Raises ValueError: an answer has not one entry a row."""
    for values in answers.values():
        if values.shape[:1] != (rows,):
            found = values.shape[0] if values.ndim else "no"
            raise ValueError(f"the model answered {found} rows where {rows} were given")


def probe_failed(error: Exception, *, sampled: bool, remedy: str = "") -> Rejected:
    """It does not answer the rows that it was tried on."""
    rows = "the rows of the sample" if sampled else "a made-up row"
    message = f"The model fails on {rows}: {describe(error)}."
    return Rejected("probe_failed", message, remedy or (_CHECK if sampled else _SEND))
