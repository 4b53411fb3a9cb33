"""What a CatBoost model out of a pickle says of its columns, elsewhere than scikit-learn's models do."""

from typing import Any


def is_catboost(step: Any) -> bool:
    """Whether it is a model of CatBoost, which need not be imported to know."""
    return type(step).__module__.partition(".")[0] == "catboost" and hasattr(step, "feature_names_")


def catboost_names(step: Any) -> list[str] | None:
    """The names that it was trained on; None where they are only numbers."""
    names = [str(name) for name in step.feature_names_]
    return None if names == [str(at) for at in range(len(names))] else names


def catboost_width(step: Any) -> int:
    """How many columns it takes: its `n_features_in_` is 0 once it was pickled."""
    return len(step.feature_names_)


def catboost_texts(step: Any) -> set[int]:
    """The places of the columns that hold categories or texts."""
    return {*step.get_cat_feature_indices(), *step.get_text_feature_indices()}
