"""What a runtime is: the code that opens one family of formats and predicts with what it finds."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Contents, Library, Signature
from workers.host.artifact import Artifact
from workers.host.rows import Rows


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes and gives, and rows that it has been seen to answer."""

    signature: Signature
    rows: Rows
    warnings: list[str]


class Answering(Protocol):
    """What predicts."""

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Each output asked for, with one entry a row."""


class LoadedModel(Answering, Protocol):
    """A model that was opened.

    Attributes:
        fitted: the object in the file, for engines to compile.
        format: found by content: joblib, pickle.
        estimator: the model's class.
        libraries: that it was made with, there and here.
        warnings: for its owner.
        none_columns: where a missing value is None and not NaN, as it was in training.
    """

    fitted: Any
    format: str
    estimator: str
    libraries: dict[str, Library]
    warnings: list[str]
    none_columns: frozenset[str]

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """Find out what it takes and gives, by looking and by trying.

        Raises:
            Rejected: it cannot be served.
        """

    def accept(self, signature: Signature) -> None:
        """Predict by this signature from now on."""

    def draws(self) -> bool:
        """Whether it is known to answer by drawing lots."""


class Runtime(Protocol):
    """Opens one family of formats.

    Its module, `recognises` and `read` need nothing but what every environment has; only `load` imports the
    family's own library.
    """

    name: str

    def recognises(self, artifact: Artifact) -> bool:
        """Whether the content, never the name, says that the file is of this family."""

    def read(self, artifact: Artifact) -> Contents:
        """What is in it, without running anything of it.

        Raises:
            Rejected: it can be seen already that nothing in it can be served.
        """

    def load(self, artifact: Artifact) -> LoadedModel:
        """Open the artifact. This runs its author's code.

        Raises:
            Rejected: nothing in it can be served.
        """
