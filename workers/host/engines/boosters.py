"""Boosters of XGBoost and LightGBM, evaluated by Treelite where those libraries are installed."""

import json
from typing import Any

import numpy as np

from workers.host.engines.compiled import CannotCompile, Compiled, Scores
from workers.host.engines.links import Given, Link, Values
from workers.host.engines.tree import LEAF, Tree

ENGINE = "treelite"

_NEXT_TO_NOTHING = float(np.float32(1e-35))  # kZeroThreshold in LightGBM's meta.h
_LIBRARIES = ("xgboost.sklearn", "lightgbm.sklearn")
_CLASSIFIERS = ("XGBClassifier", "LGBMClassifier")
_REGRESSORS = ("XGBRegressor", "LGBMRegressor")


def compile_booster(model: Any) -> Compiled | None:
    """The booster's trees; None where the model is of another family.

    Raises:
        CannotCompile: Treelite cannot read them.
    """
    kind = type(model)
    if kind.__module__ not in _LIBRARIES or kind.__name__ not in _CLASSIFIERS + _REGRESSORS:
        return None
    classifies = kind.__name__ in _CLASSIFIERS
    link: Link | Values = Given() if classifies else Values(flat=True)
    read = _read(model)
    return Compiled(
        engine=ENGINE,
        scores=_scores(read),
        link=link,
        classes=np.asarray(model.classes_) if classifies else None,
        takes_missing=True,
        trees=[_tree(tree["nodes"]) for tree in json.loads(read.dump_as_json())["trees"]],
        tail=model,
    )


def _read(model: Any) -> Any:
    try:
        from treelite import frontend  # noqa: PLC0415  may be missing
    except ImportError as error:
        raise CannotCompile("Treelite is not installed here") from error
    if hasattr(model, "get_booster"):
        return frontend.from_xgboost(model.get_booster())
    return frontend.from_lightgbm(model.booster_)


def _scores(trees: Any) -> Scores:
    from treelite import gtil  # noqa: PLC0415  likewise

    dtype = np.dtype(trees.input_type)

    def scores(rows: Any) -> Any:
        if dtype == np.float64:  # LightGBM; its rows leave out what is next to nothing
            rows = np.where(np.abs(rows) <= _NEXT_TO_NOTHING, 0.0, rows)
        answer = gtil.predict(trees, rows.astype(dtype, copy=False), nthread=1)
        return answer.reshape(len(rows), -1).astype(np.float64)

    return scores


def _tree(nodes: list[dict[str, Any]]) -> Tree:
    """The splits, by which rows to compare on are made; a split by categories counts as one at zero."""
    place = {node["node_id"]: at for at, node in enumerate(nodes)}
    return Tree(
        feature=np.array([node.get("split_feature_id", 0) for node in nodes]),
        split=np.array([node.get("threshold", 0.0) for node in nodes]),
        left=np.array([place.get(node.get("left_child"), LEAF) for node in nodes]),
        right=np.array([place.get(node.get("right_child"), LEAF) for node in nodes]),
        missing_left=np.array([node.get("default_left", False) for node in nodes]),
        value=np.zeros(len(nodes)),
        target=0,
    )
