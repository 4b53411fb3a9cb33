"""Rows on which a compiled model shows whether it answers as the estimator does.

For trees: at every split, on a path that leads there, the split itself and its neighbours, both as 64-bit
and as 32-bit floats see them, and NaN. For what is smooth: around known rows, far out, and between
rows of different labels.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.links import Floats
from workers.host.engines.tree import LEAF, Tree

_MOST_SPLITS = 3000
_MOST_NUMBERS = 4_000_000  # 32 MB of rows
_VARIANTS = 7
_SPREADS = (1e-3, 1.0, 1e3)
_ROWS_A_SPREAD = 200
_EXTREMES = np.array([0.0, 1e-300, -1e-300, 1e-9, -1e-9, 1e9, -1e9, 1e15, -1e15, 1e30, -1e30])
_MISSING_SHARE = 0.2

_Bounds = dict[int, tuple[float, float]]  # by feature: above the first, at most the second


class Straddling(msgspec.Struct, frozen=True):
    """Rows around splits, and how many of all splits they are around."""

    rows: Floats
    tried: int
    splits: int


def around_splits(
    trees: Sequence[Tree], base: Floats, random: np.random.Generator, *, missing: bool
) -> Straddling:
    """Rows on both sides of the trees' splits: of all, or of a random choice where there are very many.

    Args:
        base: rows that lend what a path leaves open, shape (rows, columns).
        missing: NaN is tried as well.
    """
    counts = np.array([int(tree.inner.sum()) for tree in trees])
    splits, columns = int(counts.sum()), base.shape[1]
    most = min(_MOST_SPLITS, max(_MOST_NUMBERS // (columns * _VARIANTS), 1))
    chosen = np.sort(random.permutation(splits)[:most])
    tree_of = np.searchsorted(np.cumsum(counts), chosen, side="right")
    place = chosen - np.concatenate(([0], np.cumsum(counts)))[tree_of]
    rows = [np.empty((0, columns))]
    for at in np.unique(tree_of):
        rows += _around(trees[at], place[tree_of == at], base, random, missing=missing)
    return Straddling(np.concatenate(rows), len(chosen), splits)


def spread_rows(base: Floats, random: np.random.Generator, *, missing: bool) -> Floats:
    """Rows near and far from the base, and of extreme values."""
    scale = np.maximum(np.abs(np.nan_to_num(base)).mean(axis=0), 1e-3)
    shape = (_ROWS_A_SPREAD, base.shape[1])
    around = [
        base[random.integers(len(base), size=_ROWS_A_SPREAD)] + random.normal(size=shape) * scale * spread
        for spread in _SPREADS
    ]
    rows = np.concatenate([base, *around, random.choice(_EXTREMES, shape)])
    return np.concatenate([rows, _with_gaps(rows, random)]) if missing else rows


def _with_gaps(rows: Floats, random: np.random.Generator) -> Floats:
    return np.where(random.random(rows.shape) < _MISSING_SHARE, np.nan, rows)


def _around(
    tree: Tree, places: NDArray[np.int64], base: Floats, random: np.random.Generator, *, missing: bool
) -> Iterator[Floats]:
    parents = _parents(tree)
    inner = np.flatnonzero(tree.inner)
    for node in inner[places].tolist():
        row = base[random.integers(len(base))].copy()
        for feature, (low, high) in _bounds(tree, parents, node).items():
            if not low < row[feature] <= high:
                row[feature] = _between(low, high)
        values = _neighbours(float(tree.split[node]), missing=missing)
        block = np.repeat(row[None, :], len(values), axis=0)
        block[:, tree.feature[node]] = values
        yield block


def _parents(tree: Tree) -> list[int]:
    parents = np.full(len(tree.left), LEAF)
    inner = np.flatnonzero(tree.inner)
    parents[tree.left[inner]] = inner
    parents[tree.right[inner]] = inner
    return [int(parent) for parent in parents]


def _bounds(tree: Tree, parents: list[int], node: int) -> _Bounds:
    """What a row must keep to on its way from the root to the node."""
    path = [node]
    while parents[path[-1]] != LEAF:
        path.append(parents[path[-1]])
    bounds: _Bounds = {}
    for child, parent in pairwise(path):
        feature, split = int(tree.feature[parent]), float(tree.split[parent])
        low, high = bounds.get(feature, (-np.inf, np.inf))
        left = tree.left[parent] == child
        bounds[feature] = (low, min(high, split)) if left else (max(low, split), high)
    return bounds


def _between(low: float, high: float) -> float:
    """A value above `low` and at most `high`, also once it is rounded to 32 bits where there is one."""
    if np.isinf(low):
        return float(np.nextafter(np.float32(high), np.float32(-np.inf)))
    if np.isinf(high):
        return float(np.nextafter(np.float32(low), np.float32(np.inf)))
    return low + (high - low) / 2


def _neighbours(split: float, *, missing: bool) -> list[float]:
    short = np.float32(split)
    values = [split, np.nextafter(split, -np.inf), np.nextafter(split, np.inf)]
    values += [short, np.nextafter(short, np.float32(-np.inf)), np.nextafter(short, np.float32(np.inf))]
    return [float(value) for value in values] + [np.nan] * missing
