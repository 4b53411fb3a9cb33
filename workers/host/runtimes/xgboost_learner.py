"""What an XGBoost booster says of itself, in the JSON that it is described by."""

from itertools import pairwise
from typing import Any

import msgspec

from workers.host.error_text import shown
from workers.host.rejection import Rejected

_ASCII = range(128)


class _Objective(msgspec.Struct):
    name: str


class _Encoding(msgspec.Struct):
    values: list[int]
    offsets: list[int] | None = None  # of text; numbers have none


class _Categories(msgspec.Struct):
    enc: list[_Encoding] = []


class _Model(msgspec.Struct):
    cats: _Categories | None = None


class _Gradient(msgspec.Struct):
    name: str = "gbtree"
    model: _Model | None = None


class _Config(msgspec.Struct):
    gradient_booster: _Gradient
    learner_model_param: dict[str, str]
    objective: _Objective


class _Document(msgspec.Struct):
    learner: _Config


class _LabelEncoder(msgspec.Struct):
    classes_: list[Any] | None = None


class _Wrapper(msgspec.Struct):
    """What the estimators of XGBoost leave in the file; those before 1.6 also the labels' names."""

    le: _LabelEncoder | None = msgspec.field(default=None, name="_le")


class Learner(msgspec.Struct, frozen=True, kw_only=True):
    """A booster, described.

    Attributes:
        booster: gbtree, dart, gblinear.
        width: how many columns it takes.
        trees: the rounds that answer, first and after the last; (0, 0) for all.
        stopped_early: its best round, where training went on after it and all rounds answer.
        classes: None where it is no classifier, or one of several labels a row.
    """

    objective: str
    booster: str
    width: int
    feature_names: list[str] | None
    feature_types: list[str]
    trees: tuple[int, int]
    stopped_early: int | None
    classes: list[Any] | None

    @property
    def names(self) -> list[str]:
        """The columns' names, or numbers for names."""
        return self.feature_names or [f"x{at}" for at in range(self.width)]

    @property
    def categorical(self) -> list[int]:
        """The columns that hold categories."""
        return [at for at, kind in enumerate(self.feature_types) if kind == "c"]


def read_learner(booster: Any) -> Learner:
    """Describe a booster that was loaded."""
    config = msgspec.json.decode(booster.save_config(), type=_Document).learner
    attributes: dict[str, str] = booster.attributes()
    wrapper = _wrapper(attributes.get("scikit_learn"))
    best = attributes.get("best_iteration")
    best_round = int(best) if best is not None and best.isdigit() else None
    by_wrapper = wrapper is not None and best_round is not None and config.gradient_booster.name != "gblinear"
    return Learner(
        objective=config.objective.name,
        booster=config.gradient_booster.name,
        width=int(config.learner_model_param["num_feature"]),
        feature_names=booster.feature_names or None,
        feature_types=booster.feature_types or [],
        trees=(0, best_round + 1) if by_wrapper and best_round is not None else (0, 0),
        stopped_early=None if by_wrapper else best_round,
        classes=_classes(config, wrapper),
    )


def categories_of(booster: Any, learner: Learner) -> dict[int, list[Any]]:
    """The categories of those columns for which the file has them (from 3.1 on), by the column's number.

    Raises:
        Rejected: they cannot be read.
    """
    if not learner.categorical:
        return {}
    document = msgspec.json.decode(bytes(booster.save_raw(raw_format="json")), type=_Document)
    model = document.learner.gradient_booster.model
    encodings = model.cats.enc if model is not None and model.cats is not None else []
    return {
        at: _decoded(encoding, learner.names[at])
        for at, encoding in enumerate(encodings)
        if encoding.values and at in learner.categorical
    }


def _wrapper(text: str | None) -> _Wrapper | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=_Wrapper)
    except msgspec.MsgspecError:
        return _Wrapper()


def _classes(config: _Config, wrapper: _Wrapper | None) -> list[Any] | None:
    parameters = config.learner_model_param
    if config.objective.name in ("binary:logistic", "binary:hinge"):
        count = 2 if int(parameters.get("num_target", "1")) <= 1 else 0
    else:
        count = int(parameters["num_class"]) if config.objective.name.startswith("multi:") else 0
    if not count:
        return None
    known = wrapper.le.classes_ if wrapper is not None and wrapper.le is not None else None
    return known if known and len(known) == count else list(range(count))


def _decoded(encoding: _Encoding, name: str) -> list[Any]:
    if encoding.offsets is None:
        return list(encoding.values)
    if not all(value in _ASCII for value in encoding.values):
        # It counts letters where it should count bytes: texts are cut, and those that follow are shifted.
        raise Rejected(
            "categories_unreadable",
            f"XGBoost saved the categories of {shown(name)!r} wrongly, as it does with letters beyond ASCII.",
            "Name the categories in ASCII letters, or give them numbers, and train the model again.",
        )
    text = bytes(encoding.values).decode()
    ends = encoding.offsets
    return [text[start:end] for start, end in pairwise(ends)]
