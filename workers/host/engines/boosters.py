"""Boosters of XGBoost and LightGBM, evaluated by Treelite where those libraries are installed."""

from typing import Any

import numpy as np

from workers.host.engines.compiled import CannotCompile, Compiled, Scores
from workers.host.engines.links import Given, Link, Values

ENGINE = "treelite"

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
    return Compiled(
        engine=ENGINE,
        scores=_scores(model),
        link=link,
        classes=np.asarray(model.classes_) if classifies else None,
        takes_missing=True,
        tail=model,
    )


def _scores(model: Any) -> Scores:
    try:
        from treelite import frontend, gtil  # noqa: PLC0415  may be missing
    except ImportError as error:
        raise CannotCompile("Treelite is not installed here") from error
    booster = model.get_booster() if hasattr(model, "get_booster") else model.booster_
    read = frontend.from_xgboost if hasattr(model, "get_booster") else frontend.from_lightgbm
    trees = read(booster)
    dtype = np.dtype(trees.input_type)

    def scores(rows: Any) -> Any:
        answer = gtil.predict(trees, rows.astype(dtype, copy=False), nthread=1)
        return answer.reshape(len(rows), -1).astype(np.float64)

    return scores
