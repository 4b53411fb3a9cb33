"""Transformers that often stand before a model, by the very operations that scikit-learn does."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.feature_selection import SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from workers.host.engines.compiled import CannotCompile, Scores
from workers.host.engines.links import Floats


def compile_step(transformer: Any) -> tuple[Scores, ...]:
    """What a transformer does to rows, as functions that keep the rows given to them whole.

    Raises:
        CannotCompile: it is another transformer, or set up in a way not known here.
    """
    if transformer is None or transformer == "passthrough":
        return ()
    compile_one = _STEPS.get(type(transformer))
    if compile_one is None:
        raise CannotCompile(f"a {type(transformer).__name__} stands before the model")
    return compile_one(transformer)


def _standard(scaler: StandardScaler) -> tuple[Scores, ...]:
    return _shifted_then_divided(
        scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None
    )


def _robust(scaler: RobustScaler) -> tuple[Scores, ...]:
    return _shifted_then_divided(
        scaler.center_ if scaler.with_centering else None, scaler.scale_ if scaler.with_scaling else None
    )


def _shifted_then_divided(shift: Floats | None, divisor: Floats | None) -> tuple[Scores, ...]:
    steps: list[Scores] = []
    if shift is not None:
        steps.append(lambda rows: rows - shift)
    if divisor is not None:
        steps.append(lambda rows: rows / divisor)
    return tuple(steps)


def _min_max(scaler: MinMaxScaler) -> tuple[Scores, ...]:
    scale, offset = scaler.scale_, scaler.min_
    low, high = scaler.feature_range
    steps: tuple[Scores, ...] = (lambda rows: rows * scale + offset,)
    return (*steps, lambda rows: np.clip(rows, low, high)) if scaler.clip else steps


def _max_abs(scaler: MaxAbsScaler) -> tuple[Scores, ...]:
    scale = scaler.scale_
    steps: tuple[Scores, ...] = (lambda rows: rows / scale,)
    return (*steps, lambda rows: np.clip(rows, -1.0, 1.0)) if getattr(scaler, "clip", False) else steps


def _imputer(imputer: SimpleImputer) -> tuple[Scores, ...]:
    fill = np.asarray(imputer.statistics_, np.float64)
    if imputer.add_indicator or np.isnan(fill).any() or not _is_nan(imputer.missing_values):
        raise CannotCompile("its SimpleImputer is set up in a way that no engine knows")
    return (lambda rows: np.where(np.isnan(rows), fill, rows),)


def _selector(selector: Any) -> tuple[Scores, ...]:
    kept = np.flatnonzero(selector.get_support())
    return (lambda rows: np.ascontiguousarray(rows[:, kept]),)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


_STEPS: dict[type, Callable[[Any], tuple[Scores, ...]]] = {
    StandardScaler: _standard,
    RobustScaler: _robust,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    SimpleImputer: _imputer,
    **dict.fromkeys((SelectKBest, SelectPercentile, SelectFromModel, VarianceThreshold), _selector),
}
