"""Write the list of names that models of the installed scikit-learn import.

    python -m bench.allowed_names

Every estimator is fitted and pickled as people do. Read the difference before it is committed: no function
may come in that calls, opens or imports what it is given.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import sklearn
from sklearn.base import BaseEstimator

from bench.estimators import fitted_estimators
from workers.host.reading.pickle_reading import PickleReading, read_pickle
from workers.host.reading.standing import is_dangerous

FOLDER = Path(__file__).parents[1] / "workers/host/reading/allowed"
RELEASE = ".".join(sklearn.__version__.split(".")[:2])
_PROTOCOLS = (2, 4, 5)


def main() -> None:
    """Write the file of this release."""
    path = FOLDER / f"sklearn-{RELEASE}.txt"
    files = [file for _, estimator in fitted_estimators() for file in pickled(estimator)]
    path.write_text(listed(allowed_names(files)))
    print(path)


def listed(names: set[tuple[str, str]]) -> str:
    """The file's text."""
    head = f"# What models of scikit-learn {RELEASE} import: made by bench/allowed_names.py\n"
    return head + "".join(f"{module} {name}\n" for module, name in sorted(names))


def allowed_names(files: list[tuple[bytes, bool]]) -> set[tuple[str, str]]:
    """Names that these pickles import, without those that no review can let in."""
    names = {name for content, is_joblib in files for name in read(content, joblib=is_joblib).names}
    return {pair for pair in names if not is_dangerous(*pair)}


def pickled(estimator: BaseEstimator) -> list[tuple[bytes, bool]]:
    """The estimator's pickles, and whether joblib wrote them; none where it cannot be pickled."""
    written = io.BytesIO()
    try:
        plain = [(pickle.dumps(estimator, protocol), False) for protocol in _PROTOCOLS]
        joblib.dump(estimator, written)
    except (pickle.PicklingError, TypeError, AttributeError):
        return []
    return [*plain, (written.getvalue(), True)]


def read(content: bytes, **given: Any) -> PickleReading:
    """What is read in a pickle."""
    return read_pickle(io.BufferedReader(io.BytesIO(content)), size_bytes=len(content), **given)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
