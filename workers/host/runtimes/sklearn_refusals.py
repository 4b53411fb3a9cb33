"""Why something out of a pickle cannot be served, told by what it is."""

import lzma
import pickle
import zlib
from collections.abc import Mapping
from typing import Any

import sklearn

from workers.host.error_text import describe, shown
from workers.host.rejection import SAVE_AGAIN, Rejected, truncated
from workers.host.runtimes.pickles import MissingGlobal
from workers.host.runtimes.sklearn_unservable import refuse_other_inputs, refuse_what_knows_its_own_rows

_BREAKS_OFF = ("truncated", "ran out of input", "EOF", "End-of-", "ended before")


def refuse_what_cannot_answer(loaded: Any) -> None:
    """Let through what answers new rows: by `predict`, `transform` or `score_samples`.

    Raises:
        Rejected: it does not; the reason names what was found instead.
    """
    if isinstance(loaded, type):
        raise Rejected(
            "class_not_instance",
            f"The file holds the class {loaded.__name__}, not a fitted model of it.",
            f"Save the object that you fitted: `model = {loaded.__name__}(...).fit(X, y)`.",
        )
    refuse_other_inputs(loaded)
    if callable(getattr(loaded, "predict", None)) or _transforms_or_scores(loaded):
        return
    if hasattr(loaded, "best_estimator_") or getattr(loaded, "refit", True) is False:
        raise Rejected(
            "search_without_model",
            f"The {type(loaded).__name__} has kept no model: it was run with `refit=False`.",
            "Run the search with `refit=True`, or fit and save the estimator that you chose.",
        )
    refuse_what_knows_its_own_rows(loaded)
    raise _no_estimator(loaded)


def _transforms_or_scores(loaded: Any) -> bool:
    """A table of pandas transforms too, but cannot be fitted."""
    named = (getattr(loaded, method, None) for method in ("transform", "score_samples"))
    return hasattr(loaded, "fit") and any(map(callable, named))


def unreadable(error: Exception, version: str | None) -> Exception:
    """What to say of a pickle that cannot be loaded.

    Args:
        version: of scikit-learn that wrote it, where the file says.
    """
    if isinstance(error, Rejected):
        return error
    if isinstance(error, MissingGlobal):
        return _missing(error, version)
    if isinstance(error, MemoryError):
        return Rejected(
            "out_of_memory", "The model needs more memory than it may have.", "Train a smaller model."
        )
    if _breaks_off(error):
        return truncated()
    if version is not None and version != sklearn.__version__:
        return version_breaks(version, describe(error))
    return Rejected("load_failed", f"The file cannot be loaded: {describe(error)}.")


def version_breaks(version: str | None, what: str) -> Rejected:
    """The artifact's version of scikit-learn and ours do not go together."""
    there = f"scikit-learn {version}" if version else "another version of scikit-learn"
    return Rejected(
        "version_mismatch",
        f"Saved with {there}, the model does not work with {sklearn.__version__}: {what}.",
        f"Train and save it again with scikit-learn {sklearn.__version__}.",
    )


def _no_estimator(loaded: Any) -> Rejected:
    kind = f"{type(loaded).__module__}.{type(loaded).__qualname__}".removeprefix("builtins.")
    key = _key_of_model(loaded)
    remedy = (
        f"Save only the model in it: `joblib.dump(bundle[{key!r}], 'model.joblib')`." if key else SAVE_AGAIN
    )
    return Rejected(
        "not_an_estimator", f"The file holds a {shown(kind)}, which neither predicts nor transforms.", remedy
    )


def _key_of_model(loaded: Any) -> str | int | None:
    """Where in a bundle the model is, if there is one."""
    pairs = loaded.items() if isinstance(loaded, Mapping) else ()
    return next(
        (shown(key) for key, value in pairs if isinstance(key, str) and hasattr(value, "predict")), None
    )


def _breaks_off(error: Exception) -> bool:
    if isinstance(error, EOFError):
        return True
    known = isinstance(error, pickle.UnpicklingError | ValueError | OSError | zlib.error | lzma.LZMAError)
    return known and any(sign in str(error) for sign in _BREAKS_OFF)


def _missing(error: MissingGlobal, version: str | None) -> Rejected:
    package = shown(error.module.split(".")[0])
    name = shown(f"{error.module}.{error.name}")
    if package == "__main__":
        return Rejected(
            "class_not_importable",
            f"The model uses {shown(error.name)!r}, which was defined in the script that saved it.",
            "Save it with cloudpickle, which takes such definitions along: `cloudpickle.dump(model, file)`.",
        )
    if package == "sklearn":
        return version_breaks(version, f"{name} is not there")
    if isinstance(error.cause, ModuleNotFoundError):
        return Rejected(
            "library_missing",
            f"The model needs the library {package!r}, which is not installed here.",
            "Save a model that needs scikit-learn and pandas only, or ask the operator to install it.",
        )
    return Rejected(
        "name_missing",
        f"The model needs {name}, which the library installed here does not have.",
        f"Train and save it again with the version of {package!r} that is installed here.",
    )
