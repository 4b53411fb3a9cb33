"""Tries a loaded estimator on a few rows, to see what it answers."""

from typing import Any

import msgspec
from numpy.typing import NDArray

from shared.catalog.verdict import Output
from workers.host.rejection import Rejected
from workers.host.rows import Rows
from workers.host.runtimes.class_pairs import class_pairs
from workers.host.runtimes.library_model import probe_failed
from workers.host.runtimes.runtime import LoadedModel
from workers.host.runtimes.sklearn_outputs import (
    MAX_WIDTH,
    PROBABILITIES,
    SCORES,
    TRANSFORMED,
    Methods,
    TooWide,
    is_usable,
    parts,
)
from workers.host.runtimes.values import output_of

_MOST_DIMENSIONS = 2


def try_outputs(
    model: LoadedModel, methods: Methods, rows: Rows, *, sampled: bool
) -> tuple[list[Output], list[str]]:
    """The outputs that it has been seen to give, the main one first, and warnings of those that it does not.

    Raises:
        Rejected: it fails, or answers something that is not served.
    """
    main = str(methods.main)
    outputs = [_output(main, _main(model, main, rows, sampled=sampled))]
    warnings: list[str] = []
    for name in methods.further:
        found = _further(model, name, rows)
        outputs += found
        if not found:
            warnings.append(f"Its {name} are not offered: they are not one row of numbers a row of input.")
    return outputs, warnings


def _main(model: LoadedModel, name: str, rows: Rows, *, sampled: bool) -> NDArray[Any]:
    try:
        values = model.predict(rows, [name])[name]
    except TooWide as error:
        raise _too_wide(error.width) from error
    except Exception as error:
        raise probe_failed(error, sampled=sampled) from error
    if not 1 <= values.ndim <= _MOST_DIMENSIONS:
        raise Rejected(
            "output_unsupported",
            f"The model answers {values.ndim - 1}-dimensional things for each row.",
            "Serve a model that answers a value, or a list of values, for each row.",
        )
    if values.ndim == _MOST_DIMENSIONS and not values.shape[1]:
        raise Rejected(
            "output_empty",
            "The model answers nothing: no column is left of its output.",
            "Fit it so that something is left, and save it again.",
        )
    if name == TRANSFORMED and values.ndim == _MOST_DIMENSIONS and values.shape[1] > MAX_WIDTH:
        raise _too_wide(values.shape[1])
    return values


def _too_wide(width: int) -> Rejected:
    return Rejected(
        "output_too_wide",
        f"The model answers {width:,} numbers for each row; {MAX_WIDTH:,} are served at most.",
        "Make fewer (`max_features`, `n_features`, a TruncatedSVD behind it), or save the pipeline together"
        " with the model that takes them.",
    )


def _further(model: LoadedModel, name: str, rows: Rows) -> list[Output]:
    """The output, or those that stand in its place; none where it cannot be offered."""
    values = _numbers(model, name, rows)
    if values is not None:
        return [_output(name, values, class_pairs(model.fitted, values) if name == SCORES else None)]
    if name != PROBABILITIES:
        return []
    of_targets = [(part, classes, _numbers(model, part, rows)) for part, classes in parts(model.fitted)]
    found = [_output(part, given, classes) for part, classes, given in of_targets if given is not None]
    return found if len(found) == len(of_targets) else []


def _numbers(model: LoadedModel, name: str, rows: Rows) -> NDArray[Any] | None:
    try:
        values = model.predict(rows, [name])[name]
    except Exception:  # noqa: BLE001  whatever it is, they are simply not offered
        return None
    return values if is_usable(name, values) else None


def _output(name: str, values: NDArray[Any], classes: list[Any] | None = None) -> Output:
    return msgspec.structs.replace(output_of(name, values), classes=classes)
