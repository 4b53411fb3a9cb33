"""Finds out which columns a fitted estimator takes, by walking through what it is made of."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer, LabelEncoder

from shared.catalog.verdict import Datatype
from workers.host.runtimes.catboost_columns import (
    catboost_names,
    catboost_texts,
    catboost_width,
    is_catboost,
)

# Where a fitted estimator keeps the fitted estimator(s) that it passes its own input on to.
_ONE_INSIDE = ("best_estimator_", "estimator_", "regressor_", "classifier_", "_preprocessor", "estimator")
_MANY_INSIDE = ("estimators_", "calibrated_classifiers_")
_LOOKED_AT = 8  # of many: the trees of a forest are all alike
_OF_TEXT = (CountVectorizer, HashingVectorizer)  # a TfidfVectorizer is a CountVectorizer
_OF_LABELS = (LabelBinarizer, LabelEncoder)
_OF_NUMBERS = (IsotonicRegression,)
_TYPICAL = ("mean_", "center_", "statistics_")  # what scalers and imputers remember of each column
_KINDS = {"b": Datatype.BOOL, "i": Datatype.INT64, "u": Datatype.INT64, "f": Datatype.FP64}


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What an estimator inside tells of one column."""

    datatype: Datatype | None = None
    example: Any = None
    takes_none: bool = False  # None was among the values that it was trained on


Hints = dict[int, Hint]


def known_names(estimator: Any) -> list[str] | None:
    """The columns' names, where the model was trained on a table."""
    names = _found_inside(estimator, "feature_names_in_")
    if names is None:
        return next(filter(None, map(_own_names, walk_inputs(estimator))), None)
    return [str(name) for name in names]


def known_width(estimator: Any) -> int | None:
    """How many columns it takes; None where it does not say."""
    width = _found_inside(estimator, "n_features_in_")
    if not width:  # CatBoost's models say 0 once they were pickled
        width = next((catboost_width(step) for step in walk_inputs(estimator) if is_catboost(step)), None)
    if width is None and takes_one_series(estimator):
        return 1
    return int(width) if width else None


def takes_one_series(estimator: Any) -> bool:
    """Its input goes straight into what wants one series and no table: a vectorizer of texts, say."""
    return any(isinstance(step, _OF_TEXT + _OF_LABELS + _OF_NUMBERS) for step in walk_inputs(estimator))


def takes_one_text(estimator: Any) -> bool:
    """The same, of texts."""
    return any(isinstance(step, _OF_TEXT) for step in walk_inputs(estimator))


def walk_inputs(estimator: Any) -> Iterator[Any]:
    """The estimator and those inside that get its very input, whole and in its form."""
    yield estimator
    if not isinstance(estimator, ColumnTransformer):
        for inner, _ in _passes_on(estimator, [0]):
            yield from walk_inputs(inner)


def _own_names(step: Any) -> list[str] | None:
    """Of those that keep their columns' names elsewhere."""
    if isinstance(step, DictVectorizer):
        return list(_keys(step))
    return catboost_names(step) if is_catboost(step) else None


def column_hints(estimator: Any, width: int) -> Hints:
    """What the estimators inside tell of each column, by its number."""
    hints: Hints = {}
    _walk(estimator, list(range(width)), hints)
    return hints


def _found_inside(estimator: Any, attribute: str) -> Any:
    value = getattr(estimator, attribute, None)
    if value is not None:
        return value
    values = (_found_inside(inner, attribute) for inner, _ in _passes_on(estimator, None))
    return next((value for value in values if value is not None), None)


def _walk(step: Any, positions: Sequence[int], hints: Hints) -> None:
    if getattr(step, "n_features_in_", 0) not in (0, len(positions)):
        return  # it gets some of the columns only (RFE), and there is no telling which
    own_hints = _catboost_hints if is_catboost(step) else _own_hints
    for position, hint in own_hints(step, positions):
        hints[position] = _merged(hints.get(position), hint)
    for inner, inner_positions in _passes_on(step, positions):
        _walk(inner, inner_positions or (), hints)


def _merged(known: Hint | None, new: Hint) -> Hint:
    """The first estimator on a column's way knows best."""
    if known is None:
        return new
    return Hint(
        datatype=known.datatype or new.datatype,
        example=new.example if known.example is None else known.example,
        takes_none=known.takes_none or new.takes_none,
    )


def _own_hints(step: Any, positions: Sequence[int]) -> Iterator[tuple[int, Hint]]:
    if isinstance(step, _OF_TEXT):
        yield from ((position, Hint(datatype=Datatype.BYTES, example="some text")) for position in positions)
    if isinstance(step, _OF_LABELS):
        yield from ((position, _hint_of_categories(step.classes_)) for position in positions)
    if isinstance(step, _OF_NUMBERS):  # some refuse what lies outside of what they were fitted on
        yield from ((position, _hint_of_typical(float(step.X_min_))) for position in positions)
    if isinstance(step, DictVectorizer):
        yield from zip(positions, _keys(step).values(), strict=False)
    if getattr(step, "missing_values", _TYPICAL) is None:
        yield from ((position, Hint(takes_none=True)) for position in positions)
    categories = getattr(step, "categories_", None)
    if isinstance(categories, list):
        yield from zip(positions, map(_hint_of_categories, categories), strict=False)
    for attribute in _TYPICAL:
        typical = getattr(step, attribute, None)
        if isinstance(typical, np.ndarray) and typical.shape == (len(positions),):
            yield from zip(positions, map(_hint_of_typical, typical.tolist()), strict=True)
    fitted_on = getattr(step, "_fit_X", None)  # of neighbours: without one nearby, some refuse a row
    if isinstance(fitted_on, np.ndarray) and fitted_on.shape[1:] == (len(positions),):
        yield from zip(positions, map(_hint_of_typical, fitted_on[0].tolist()), strict=True)


def _catboost_hints(step: Any, positions: Sequence[int]) -> Iterator[tuple[int, Hint]]:
    texts = catboost_texts(step)
    yield from ((positions[at], Hint(datatype=Datatype.BYTES)) for at in texts if at < len(positions))


def _keys(vectorizer: DictVectorizer) -> dict[str, Hint]:
    """The keys of the dicts that it was fitted on: `key` of a number, `key=value` of a text."""
    keys: dict[str, Hint] = {}
    for feature in vectorizer.feature_names_:
        key, separator, value = str(feature).partition(vectorizer.separator)
        text = Hint(datatype=Datatype.BYTES, example=value)
        keys.setdefault(key, text if separator else Hint(datatype=Datatype.FP64))
    return keys


def _hint_of_categories(categories: Any) -> Hint:
    values = np.asarray(categories).tolist()
    present = [value for value in values if value is not None and value == value]  # noqa: PLR0124  not NaN
    example = present[0] if present else None
    datatype = Datatype.BYTES if isinstance(example, str) else _KINDS.get(np.asarray(present).dtype.kind)
    return Hint(datatype=datatype, example=example, takes_none=None in values)


def _hint_of_typical(value: Any) -> Hint:
    if isinstance(value, str):
        return Hint(datatype=Datatype.BYTES, example=value)
    return (
        Hint(example=round(float(value), 6))
        if isinstance(value, int | float) and np.isfinite(value)
        else Hint()
    )


def _passes_on(step: Any, positions: Sequence[int] | None) -> Iterator[tuple[Any, Sequence[int] | None]]:
    """The fitted estimators that get this one's input, and which columns of it. None: not asked for."""
    if isinstance(step, Pipeline):
        yield from ((inner, positions) for inner in _first_steps(step))
    elif isinstance(step, ColumnTransformer):
        yield from _branches(step, positions)
    elif isinstance(step, FeatureUnion):
        yield from ((inner, positions) for _, inner in step.transformer_list if _is_estimator(inner))
    else:
        yield from ((inner, positions) for inner in _inside(step))


def _first_steps(pipeline: Pipeline) -> Iterator[Any]:
    """The first step that does something, and those after it as long as columns keep their places."""
    for _, step in pipeline.steps:
        if not _is_estimator(step):
            continue
        yield step
        if not isinstance(step, OneToOneFeatureMixin | FunctionTransformer | SimpleImputer):
            return


def _branches(
    step: ColumnTransformer, positions: Sequence[int] | None
) -> Iterator[tuple[Any, Sequence[int] | None]]:
    taken: dict[str, Sequence[int]] = getattr(step, "_transformer_to_input_indices", {})
    for name, inner, _ in step.transformers_:
        if _is_estimator(inner):
            yield inner, None if positions is None else [positions[index] for index in taken.get(name, ())]


def _inside(step: Any) -> Iterator[Any]:
    for attribute in _ONE_INSIDE:
        inner = getattr(step, attribute, None)
        if _is_estimator(inner):
            yield inner
    if hasattr(step, "estimators_features_"):  # bagging over some of the columns: places are lost
        return
    for attribute in _MANY_INSIDE:
        many = getattr(step, attribute, ())
        several: Iterable[Any] = many.ravel().tolist() if isinstance(many, np.ndarray) else many
        yield from (inner for inner in list(several)[:_LOOKED_AT] if _is_estimator(inner))


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, str | type) and value is not None
