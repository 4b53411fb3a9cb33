"""Finds the engine for an estimator, and builds it."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from workers.host.engines import boosters, linear, onnx_session
from workers.host.engines.compiled import CannotCompile, Compiled, Scores
from workers.host.engines.converted import compile_converted
from workers.host.engines.steps import compile_step
from workers.host.engines.tree_graph import write_graph
from workers.host.engines.tree_walker import TreeWalker
from workers.host.engines.trees import Ensemble, ensemble_of

WALKER = "walker"
MOST_NODES = 1_000_000  # some 60 bytes each while the graph is written


def compile_estimator(estimator: Any, columns: int) -> Compiled:
    """The estimator in the form of whichever engine fits its family.

    Args:
        columns: that its rows have.

    Raises:
        CannotCompile: none does; the text says why.
    """
    chosen = _chosen(estimator)
    if type(chosen) is not Pipeline:
        return _compile_tail(chosen, columns)
    try:
        return _compile_pipeline(chosen, _compile_tail)
    except CannotCompile:
        converted = compile_converted(chosen, columns)
        if converted is None:
            raise
        return converted


def compile_for_many_rows(estimator: Any, columns: int) -> Compiled:
    """The estimator in a form that is worth it for thousands of rows at a time, and the same to the last bit.

    Args:
        columns: that its rows have.

    Raises:
        CannotCompile: there is none.
    """
    chosen = _chosen(estimator)
    if type(chosen) is Pipeline:
        return _compile_pipeline(chosen, _compile_walk)
    return _compile_walk(chosen, columns)


def _chosen(estimator: Any) -> Any:
    searched = type(estimator) in (GridSearchCV, RandomizedSearchCV)
    return estimator.best_estimator_ if searched else estimator


def _compile_pipeline(pipeline: Any, compile_tail: Callable[[Any, int], Compiled]) -> Compiled:
    front = [transformer for _, transformer in pipeline.steps[:-1]]
    steps: list[Scores] = [step for transformer in front for step in compile_step(transformer)]
    tail = pipeline.steps[-1][1]
    compiled = compile_tail(tail, int(tail.n_features_in_))
    fills = any(isinstance(transformer, SimpleImputer) for transformer in front)
    takes_missing = fills or compiled.takes_missing
    return msgspec.structs.replace(compiled, steps=tuple(steps), takes_missing=takes_missing)


def _compile_tail(model: Any, columns: int) -> Compiled:
    for compile_family in (linear.compile_linear, boosters.compile_booster):
        if (compiled := compile_family(model)) is not None:
            return compiled
    if (trees := ensemble_of(model)) is not None:
        return _compile_trees(model, trees.with_fewest_scores(), columns)
    converted = compile_converted(model, columns)
    if converted is None:
        raise CannotCompile(f"no engine is known for a {type(model).__name__}")
    return converted


def _compile_walk(model: Any, columns: int) -> Compiled:
    trees = ensemble_of(model)
    if trees is None or not trees.trees:
        raise CannotCompile("it has no trees")
    walker = TreeWalker(trees.trees, trees.start, columns=columns, single_precision=trees.single_precision)
    return _compiled(model, trees, engine=WALKER, scores=walker)


def _compile_trees(model: Any, trees: Ensemble, columns: int) -> Compiled:
    if trees.nodes > MOST_NODES:
        raise CannotCompile(
            f"its trees have {trees.nodes:,} nodes, more than the {MOST_NODES:,} that are tried"
        )
    scores = onnx_session.scores_of(write_graph(trees.trees, trees.start, columns))
    scores = _rounded(scores) if trees.single_precision else scores
    return _compiled(model, trees, engine=onnx_session.ENGINE, scores=scores)


def _compiled(model: Any, trees: Ensemble, *, engine: str, scores: Scores) -> Compiled:
    return Compiled(
        engine=engine,
        scores=scores,
        link=trees.link,
        classes=trees.classes,
        takes_missing=trees.takes_missing,
        trees=trees.trees,
        tail=model,
    )


def _rounded(scores: Scores) -> Scores:
    """Scikit-learn's own trees compare what is left of a value in 32 bits."""
    return lambda rows: scores(rows.astype(np.float32).astype(np.float64))
