"""What a graph answers, as a label and its probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.host.rejection import Rejected

_MATRIX = 2
_NEARLY = 1e-3  # 32-bit probabilities add up to one but for this
_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)")
_PROBABILITIES = ("tensor(float)", "tensor(double)", "tensor(float16)")


def roles_of(outputs: Sequence[Any]) -> dict[str, str]:
    """The graph's own names of our outputs, as far as types tell: what may be probabilities must prove it.

    Args:
        outputs: of a session.

    Raises:
        Rejected: it has none.
    """
    if not outputs:
        raise Rejected(
            "output_unsupported", "The graph has no outputs.", "Export the model with its outputs."
        )
    first, *others = outputs
    if first.type not in _LABELS or len(first.shape) > _MATRIX:
        return {"label": first.name}
    may_be = next((other.name for other in others if _may_be_probabilities(other)), None)
    return {"label": first.name} if may_be is None else {"label": first.name, "probabilities": may_be}


def are_probabilities(label: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether each row of numbers adds up to one, beside one label a row."""
    if label.ndim != 1 or values.ndim != _MATRIX or values.dtype.kind != "f":
        return False
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=_NEARLY))


def as_array(answer: Any) -> NDArray[Any]:
    """One entry a row; a ZipMap's dicts as a row of numbers each, in the order of their keys.

    A column of one number is a number: regressors answer so.
    """
    if isinstance(answer, list):
        return np.array([list(row.values()) if isinstance(row, dict) else row for row in answer])
    values = np.asarray(answer)
    return values[:, 0] if values.ndim == _MATRIX and values.shape[1] == 1 else values


def joined(answers: Sequence[Sequence[Any]]) -> list[Any]:
    """The outputs of calls with one row each, as those of one call."""
    return [
        [row for part in parts for row in part] if isinstance(parts[0], list) else np.concatenate(parts)
        for parts in zip(*answers, strict=True)
    ]


def _may_be_probabilities(output: Any) -> bool:
    if output.type.startswith("seq(map("):
        return True
    return output.type in _PROBABILITIES and len(output.shape) == _MATRIX
