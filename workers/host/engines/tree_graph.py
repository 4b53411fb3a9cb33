"""Writes trees as an ONNX graph of one node.

`TreeEnsemble` of ai.onnx.ml 5 compares and sums in 64 bits, in the order of its trees, as scikit-learn
does; the older operators that converters write answer in 32. Built from arrays it is ready in
milliseconds.

Source: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.compiled import CannotCompile
from workers.host.engines.links import Floats
from workers.host.engines.onnx_session import INPUT, OUTPUT
from workers.host.engines.tree import Tree

_AT_MOST = 0  # nodes_modes: left if value <= split
_SUM = 1
_OPSET, _ML_OPSET, _IR_VERSION = 21, 5, 10

Ints = NDArray[np.int64]


class _Part(msgspec.Struct, frozen=True):
    """One tree's nodes and leaves, numbered from where the tree before it ended."""

    feature: Ints
    split: Floats
    missing: NDArray[np.bool_]
    yes: Ints
    yes_leaf: NDArray[np.bool_]
    no: Ints
    no_leaf: NDArray[np.bool_]
    weight: Floats


def write_graph(trees: Sequence[Tree], start: Floats, columns: int) -> bytes:
    """The graph that sums the trees' values, each score from its `start`.

    Raises:
        CannotCompile: onnx is not installed.
    """
    try:
        import onnx  # noqa: PLC0415  may be missing; the template has imported it where it is not
    except ImportError as error:
        raise CannotCompile("the onnx library is not installed here") from error
    node = onnx.helper.make_node(
        "TreeEnsemble", [INPUT], [OUTPUT], domain="ai.onnx.ml", **_attributes(onnx, trees, start)
    )
    double = onnx.TensorProto.DOUBLE
    graph = onnx.helper.make_graph(
        [node],
        "trees",
        [onnx.helper.make_tensor_value_info(INPUT, double, [None, columns])],
        [onnx.helper.make_tensor_value_info(OUTPUT, double, [None, len(start)])],
    )
    opsets = [onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())


def _attributes(onnx: Any, trees: Sequence[Tree], start: Floats) -> dict[str, Any]:
    everything = [*_constants(start), *trees]
    parts, roots = _parts(everything)
    whole = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _Part.__struct_fields__
    }
    leaves = [len(part.weight) for part in parts]
    targets = np.repeat([tree.target for tree in everything], leaves)
    tensor = onnx.numpy_helper.from_array
    return {
        "aggregate_function": _SUM,
        "n_targets": len(start),
        "tree_roots": roots,
        "nodes_featureids": whole["feature"].tolist(),
        "nodes_splits": tensor(whole["split"]),
        "nodes_modes": tensor(np.full(len(whole["split"]), _AT_MOST, np.uint8)),
        "nodes_missing_value_tracks_true": whole["missing"].astype(int).tolist(),
        "nodes_truenodeids": whole["yes"].tolist(),
        "nodes_trueleafs": whole["yes_leaf"].astype(int).tolist(),
        "nodes_falsenodeids": whole["no"].tolist(),
        "nodes_falseleafs": whole["no_leaf"].astype(int).tolist(),
        "leaf_targetids": targets.tolist(),
        "leaf_weights": tensor(whole["weight"]),
    }


def _constants(start: Floats) -> list[Tree]:
    """A tree a score that always says where the score starts, so that the sum is taken in the same order."""
    return [_constant(value, target) for target, value in enumerate(start.tolist()) if value]


def _constant(value: float, target: int) -> Tree:
    """A split whose sides are the same: an ensemble's tree needs one."""
    return Tree(
        feature=np.zeros(3, np.int64),
        split=np.zeros(3),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.zeros(3, np.bool_),
        value=np.array([0.0, value, value]),
        target=target,
    )


def _parts(trees: Sequence[Tree]) -> tuple[list[_Part], list[int]]:
    parts: list[_Part] = []
    roots: list[int] = []
    nodes = leaves = 0
    for tree in trees:
        grown = tree if len(tree.left) > 1 else _constant(float(tree.value[0]), tree.target)
        parts.append(_part(grown, nodes, leaves))
        roots.append(nodes)
        nodes += len(parts[-1].split)
        leaves += len(parts[-1].weight)
    return parts, roots


def _part(tree: Tree, first_node: int, first_leaf: int) -> _Part:
    inner = tree.inner
    number = np.where(inner, np.cumsum(inner) - 1 + first_node, np.cumsum(~inner) - 1 + first_leaf)
    yes, no = tree.left[inner], tree.right[inner]
    return _Part(
        feature=tree.feature[inner],
        split=tree.split[inner],
        missing=tree.missing_left[inner],
        yes=number[yes],
        yes_leaf=~inner[yes],
        no=number[no],
        no_leaf=~inner[no],
        weight=tree.value[~inner],
    )
