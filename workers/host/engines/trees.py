"""Trees out of scikit-learn's estimators, as plain arrays."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn import ensemble, tree

from workers.host.engines.compiled import CannotCompile
from workers.host.engines.links import Floats, Link, Logit, Share, Softmax, Values
from workers.host.engines.tree import LEAF, Tree

_BINARY = 2

_FORESTS = (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier)
_FOREST_REGRESSORS = (ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor)
_TREES = (tree.DecisionTreeClassifier, tree.ExtraTreeClassifier)
_TREE_REGRESSORS = (tree.DecisionTreeRegressor, tree.ExtraTreeRegressor)


class Ensemble(msgspec.Struct, frozen=True, kw_only=True):
    """Trees whose values are summed, in this order.

    Attributes:
        start: the scores before the first tree.
        single_precision: rows are rounded to 32 bits before they are compared.
        first_is_rest: of its two scores the first is what the second leaves of the number of trees, but for
            the last bits.
    """

    trees: list[Tree]
    start: Floats
    link: Link | Values
    single_precision: bool
    takes_missing: bool
    first_is_rest: bool = False
    classes: NDArray[Any] | None = None

    @property
    def nodes(self) -> int:
        """Of all trees."""
        return sum(len(tree.left) for tree in self.trees)

    def with_fewest_scores(self) -> "Ensemble":
        """The same where each score is a walk of its own."""
        if not self.first_is_rest:
            return self
        second = [msgspec.structs.replace(tree, target=0) for tree in self.trees if tree.target]
        return msgspec.structs.replace(self, trees=second, start=self.start[1:])


def ensemble_of(model: Any) -> Ensemble | None:
    """The trees that a model consists of; None where it is of another family.

    Raises:
        CannotCompile: it has trees, and something else that is not known here.
    """
    read = _FAMILIES.get(type(model))
    return None if read is None else read(model)


def _forest(model: Any) -> Ensemble:
    return _voting(model, model.estimators_)


def _single(model: Any) -> Ensemble:
    return _voting(model, [model])


def _voting(model: Any, members: list[Any]) -> Ensemble:
    """Trees that each give a probability for every class."""
    if model.n_outputs_ > 1:
        raise CannotCompile("it answers several labels for each row")
    classes = int(model.n_classes_)
    return Ensemble(
        trees=[
            tree for member in members for tree in _plain_trees(member.tree_, member.tree_.value[:, 0, :])
        ],
        start=np.zeros(classes),
        link=Share(len(members), classes),
        single_precision=True,
        takes_missing=_takes_missing(members),
        first_is_rest=classes == _BINARY,
        classes=model.classes_,
    )


def _forest_regressor(model: Any) -> Ensemble:
    return _averaging(model, model.estimators_)


def _single_regressor(model: Any) -> Ensemble:
    return _averaging(model, [model])


def _averaging(model: Any, members: list[Any]) -> Ensemble:
    targets = int(model.n_outputs_)
    return Ensemble(
        trees=[
            tree for member in members for tree in _plain_trees(member.tree_, member.tree_.value[:, :, 0])
        ],
        start=np.zeros(targets),
        link=Values(flat=targets == 1, divisor=len(members)),
        single_precision=True,
        takes_missing=_takes_missing(members),
    )


def _gradient_boosting(model: Any) -> Ensemble:
    """Every stage has a regression tree a score; the start is what a constant says."""
    if model.init is not None and not isinstance(model.init, str):
        raise CannotCompile("it starts from another estimator")
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]  # noqa: SLF001
    trees = [
        _plain_tree(member.tree_, model.learning_rate * member.tree_.value[:, 0, 0], target)
        for stage in model.estimators_
        for target, member in enumerate(stage)
    ]
    link, classes = _boosting_link(model, zero_is_second=True)
    return Ensemble(
        trees=trees,
        start=np.asarray(start, np.float64),
        link=link,
        single_precision=True,
        takes_missing=False,
        classes=classes,
    )


def _hist_gradient_boosting(model: Any) -> Ensemble:
    if model._preprocessor is not None:  # noqa: SLF001
        raise CannotCompile("it has columns of categories")
    start = np.asarray(model._baseline_prediction, np.float64).reshape(-1)  # noqa: SLF001
    trees = [
        _hist_tree(predictor.nodes, target)
        for stage in model._predictors  # noqa: SLF001
        for target, predictor in enumerate(stage)
    ]
    link, classes = _boosting_link(model, zero_is_second=False)
    return Ensemble(
        trees=trees,
        start=start,
        link=link,
        single_precision=False,
        takes_missing=True,
        classes=classes,
    )


def _boosting_link(model: Any, *, zero_is_second: bool) -> tuple[Link | Values, NDArray[Any] | None]:
    classes = getattr(model, "classes_", None)
    if classes is None:
        exponential = type(getattr(model._loss, "link", None)).__name__ == "LogLink"  # noqa: SLF001
        return Values(flat=True, exponential=exponential), None
    if len(classes) > _BINARY:
        return Softmax(), classes
    if getattr(model, "loss", "log_loss") != "log_loss":
        raise CannotCompile(f"no engine knows its loss {model.loss!r}")
    return Logit(zero_is_second=zero_is_second), classes


def _plain_trees(nodes: Any, values: Floats) -> list[Tree]:
    """One structure, a tree for each column of the values."""
    first = _plain_tree(nodes, values[:, 0], 0)
    rest = range(1, values.shape[1])
    return [first, *(msgspec.structs.replace(first, value=values[:, at], target=at) for at in rest)]


def _plain_tree(nodes: Any, value: Floats, target: int) -> Tree:
    return Tree(
        feature=nodes.feature,
        split=nodes.threshold,
        left=nodes.children_left,
        right=nodes.children_right,
        missing_left=np.asarray(nodes.missing_go_to_left, np.bool_),
        value=value,
        target=target,
    )


def _hist_tree(nodes: Any, target: int) -> Tree:
    if nodes["is_categorical"].any():
        raise CannotCompile("it has columns of categories")
    leaf = nodes["is_leaf"].astype(np.bool_)
    return Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        split=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        right=np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        value=nodes["value"].astype(np.float64),
        target=target,
    )


def _takes_missing(members: list[Any]) -> bool:
    """Whether scikit-learn lets NaN pass; it asks the first tree."""
    return bool(members[0]._support_missing_values(np.zeros((1, 1))))  # noqa: SLF001


_FAMILIES: dict[type, Callable[[Any], Ensemble]] = {
    **dict.fromkeys(_FORESTS, _forest),
    **dict.fromkeys(_FOREST_REGRESSORS, _forest_regressor),
    **dict.fromkeys(_TREES, _single),
    **dict.fromkeys(_TREE_REGRESSORS, _single_regressor),
    ensemble.GradientBoostingClassifier: _gradient_boosting,
    ensemble.GradientBoostingRegressor: _gradient_boosting,
    ensemble.HistGradientBoostingClassifier: _hist_gradient_boosting,
    ensemble.HistGradientBoostingRegressor: _hist_gradient_boosting,
}
