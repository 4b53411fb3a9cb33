"""Sums the values of trees for many rows at a time, several times as fast as the library that grew them.

By scikit-learn's comparisons and additions, in its order, and so to the same bits. See `walk_program`.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.compiled import CannotCompile
from workers.host.engines.links import Floats
from workers.host.engines.tree import Tree
from workers.host.engines.walk_program import ROWS, TREE, node_type, walk_program
from workers.host.engines.wasm import Program, SharedMemory

_MOST_ROWS = 16_384  # of a block; each block brings all trees into the processor's caches anew
_BLOCK_BYTES = 8 * 1024 * 1024
_VALUE = np.dtype(np.float64)


class Walkable(msgspec.Struct, frozen=True):
    """A tree laid out for the walk.

    Attributes:
        nodes: with places counted from the root.
        values: of the nodes, shape (scores, nodes).
        first_score: which the first of the values are added to.
        levels: below the root, at least one.
    """

    nodes: NDArray[Any]
    values: Floats
    first_score: int
    levels: int


class TreeWalker:
    """An ensemble. Called with rows, shape (rows, columns), it gives their scores, shape (rows, scores)."""

    def __init__(self, trees: Sequence[Tree], start: Floats, *, columns: int, single_precision: bool) -> None:
        """Lay the trees out.

        Args:
            trees: at least one. Neighbours of one structure are walked once, for all their scores.
            start: of each score.
            columns: of a row.
            single_precision: rows are rounded to 32 bits before they are compared.

        Raises:
            CannotCompile: it takes too much memory, or WebAssembly does not run here.
        """
        real = np.float32 if single_precision else np.float64
        self._of = partial(_Walk, trees, start, columns=columns, real=real)
        self._of_all_values = self._of(missing=False)

    def __call__(self, rows: Floats) -> Floats:
        """Their scores; NaN is a missing value."""
        walk = self._of_gaps if np.isnan(rows).any() else self._of_all_values
        return walk.scores(rows)

    @cached_property
    def _of_gaps(self) -> "_Walk":
        """Made when it is wanted: most models never see a missing value."""
        return self._of(missing=True)


class _Walk:
    """The program, the trees in its memory, and room for a block of rows."""

    def __init__(
        self, trees: Sequence[Tree], start: Floats, *, columns: int, real: type, missing: bool
    ) -> None:
        walkable = [_walkable(group, real, missing=missing) for group in _of_one_structure(trees)]
        self._start = start
        self._most_rows = _most_rows(columns * np.dtype(real).itemsize)
        self._memory = memory = SharedMemory(
            trees=(TREE, len(walkable)),
            nodes=(node_type(real), sum(len(tree.nodes) for tree in walkable)),
            values=(_VALUE, sum(tree.values.size for tree in walkable)),
            rows=(np.dtype(real), self._most_rows * columns),
            sums=(_VALUE, self._most_rows * len(start)),
        )
        self._lay_out(walkable)
        self._rows = memory["rows"].reshape(-1, columns)
        self._sums = memory["sums"].reshape(len(start), -1)
        self._program = Program(walk_program(columns, real, missing=missing), "walk", memory)

    def scores(self, rows: Floats) -> Floats:
        """Shape (rows, scores)."""
        scores = np.empty((len(rows), len(self._start)))
        for first in range(0, len(rows), self._most_rows):
            block = rows[first : first + self._most_rows]
            scores[first : first + len(block)] = self._walked(block)
        return scores

    def _walked(self, block: Floats) -> Floats:
        count, memory = len(block), self._memory
        self._rows[:count] = block
        self._sums[:, :count] = self._start[:, None]
        self._program.run(
            memory.start("trees"),
            memory.end("trees"),
            memory.start("rows"),
            -(-count // ROWS),
            self._most_rows * _VALUE.itemsize,
        )
        return self._sums[:, :count].T

    def _lay_out(self, walkable: Sequence[Walkable]) -> None:
        """Nodes of all trees, then values of all, and where each tree has its own."""
        memory, node, value = self._memory, 0, 0
        for at, tree in enumerate(walkable):
            size = len(tree.nodes)
            root = memory.start("nodes") + node * tree.nodes.itemsize
            nodes = memory["nodes"][node : node + size]
            nodes[:] = tree.nodes
            nodes["left"] = root + tree.nodes["left"] * tree.nodes.itemsize
            memory["values"][value : value + tree.values.size] = tree.values.reshape(-1)
            memory["trees"][at] = (
                root,
                memory.start("values") + value * _VALUE.itemsize,
                size * _VALUE.itemsize,
                memory.start("sums") + tree.first_score * self._most_rows * _VALUE.itemsize,
                len(tree.values),
                tree.levels,
            )
            node, value = node + size, value + tree.values.size


def _most_rows(row_bytes: int) -> int:
    """Of a block, in whole groups."""
    return max(min(_MOST_ROWS, _BLOCK_BYTES // row_bytes) // ROWS, 1) * ROWS


def _of_one_structure(trees: Sequence[Tree]) -> list[list[Tree]]:
    """Neighbours that have their nodes in common, each with the score after the one before."""
    groups = [[trees[0]]]
    for before, tree in pairwise(trees):
        if tree.left is before.left and tree.target == before.target + 1:
            groups[-1].append(tree)
        else:
            groups.append([tree])
    return groups


def _walkable(group: Sequence[Tree], real: type, *, missing: bool) -> Walkable:
    tree = group[0]
    levels = _levels(tree)
    order = np.concatenate(levels)
    place = np.empty(len(tree.left), np.int64)
    place[order] = np.arange(len(order))
    nodes = np.zeros(len(order), node_type(real))
    inner = tree.inner[order]
    nodes["left"] = np.where(inner, place[tree.left[order]], place[order])
    nodes["split"] = np.where(inner, _at_most(tree.split[order], real), np.inf)
    goes_right = inner & ~tree.missing_left[order]
    columns = np.where(inner, tree.feature[order], 0) * np.dtype(real).itemsize
    nodes["column"] = columns | (goes_right & missing)
    values = np.array([one.value[order] for one in group])
    return Walkable(nodes, values, tree.target, max(len(levels) - 1, 1))


def _levels(tree: Tree) -> list[NDArray[np.int64]]:
    """The nodes by their distance from the root, children side by side."""
    level = np.zeros(1, np.int64)
    levels = []
    while len(level):
        levels.append(level)
        parents = level[tree.inner[level]]
        level = np.stack((tree.left[parents], tree.right[parents]), axis=1).reshape(-1)
        if sum(map(len, levels)) > len(tree.left):
            raise CannotCompile("its trees lead in circles")
    return levels


def _at_most(split: Floats, real: type) -> NDArray[Any]:
    """The largest number of that type that is not above the split: the same numbers are at most as large."""
    rounded: NDArray[Any] = split.astype(real)
    return np.where(rounded > split, np.nextafter(rounded, real(-np.inf)), rounded)
