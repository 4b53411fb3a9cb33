"""One decision tree as plain arrays."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.links import Floats

LEAF = -1


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One tree: an entry a node, the root first. A row goes left if its value is at most the split.

    Attributes:
        left: the left child; -1 makes the node a leaf.
        missing_left: where NaN goes.
        value: of leaves, shape (nodes,).
        target: which score the value is added to.
    """

    feature: NDArray[np.int64]
    split: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: Floats
    target: int

    @property
    def inner(self) -> NDArray[np.bool_]:
        """Which nodes split."""
        inner: NDArray[np.bool_] = self.left != LEAF
        return inner
