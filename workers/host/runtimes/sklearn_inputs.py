"""Which columns an estimator takes, of which types, with an example of each."""

from typing import Any

import msgspec
import pandas as pd

from shared.catalog.verdict import Column, Datatype
from workers.host.rejection import Rejected
from workers.host.runtimes.sklearn_columns import (
    Hint,
    column_hints,
    known_names,
    known_width,
    takes_one_text,
)
from workers.host.runtimes.values import EXAMPLES
from workers.host.sample import datatype_of


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The columns, and whether the model knows them by name.

    Attributes:
        sampled: the columns of the sample that they were read from, in the same order.
    """

    columns: list[Column]
    named: bool
    sampled: list[str] | None


def find_inputs(estimator: Any, sample: pd.DataFrame | None) -> Inputs:
    """What the estimator, and the sample if there is one, say of the inputs.

    Raises:
        Rejected: neither says how many there are, or they contradict each other.
    """
    names = known_names(estimator)
    width = known_width(estimator) if names is None else len(names)
    if width is None:
        return _inputs_of_sample(sample)
    sampled = None if sample is None else _sampled_columns(sample, names, width)
    hints = column_hints(estimator, width)
    shown = names or _made_up_names(estimator, width)
    columns = [
        _column(
            name, hints.get(at, Hint()), None if sampled is None or sample is None else sample[sampled[at]]
        )
        for at, name in enumerate(shown)
    ]
    return Inputs(columns=columns, named=names is not None, sampled=sampled)


def with_ones(inputs: Inputs) -> Inputs:
    """The same, with 1 for an example where it was 0, which some models refuse (a logarithm)."""
    columns = [
        msgspec.structs.replace(column, example=1.0)
        if column.datatype is Datatype.FP64 and column.example == 0.0
        else column
        for column in inputs.columns
    ]
    return msgspec.structs.replace(inputs, columns=columns)


def probe_values(inputs: Inputs, sample: pd.DataFrame | None) -> list[list[Any]]:
    """Rows to try the model on, a list a column: the sample's, or one of the examples."""
    if sample is None or inputs.sampled is None:
        return [[column.example] for column in inputs.columns]
    return [
        _values(sample[name], column) for name, column in zip(inputs.sampled, inputs.columns, strict=True)
    ]


def _made_up_names(estimator: Any, width: int) -> list[str]:
    if takes_one_text(estimator):
        return ["text"]
    return [f"x{at}" for at in range(width)]


def _inputs_of_sample(sample: pd.DataFrame | None) -> Inputs:
    if sample is None:
        raise Rejected(
            "inputs_unknown",
            "The model does not say which columns it takes.",
            "Upload it with a `sample`: a CSV or Parquet file of some rows, with exactly its columns.",
        )
    names = list(sample.columns)
    return Inputs(columns=[_column(name, Hint(), sample[name]) for name in names], named=True, sampled=names)


def _sampled_columns(sample: pd.DataFrame, names: list[str] | None, width: int) -> list[str]:
    missing = [name for name in names or () if name not in sample.columns]
    if missing:
        raise _sample_differs(f"lacks the column(s) {', '.join(missing[:10])}")
    if len(sample.columns) < width:
        raise _sample_differs(f"has {len(sample.columns)} column(s) where the model takes {width}")
    return names or list(sample.columns[:width])


def _sample_differs(how: str) -> Rejected:
    return Rejected(
        "sample_unusable",
        f"The sample {how}.",
        "Send a CSV file with a header line, or a Parquet file, of rows as the model was trained on.",
    )


def _column(name: str, hint: Hint, sampled: "pd.Series[Any] | None") -> Column:
    datatype = _datatype(hint, sampled)
    examples = [] if sampled is None else _plain(sampled.dropna().iloc[:1])
    example = next(iter(examples), hint.example)
    return Column(name=name, datatype=datatype, example=_fitting(example, datatype))


def _datatype(hint: Hint, sampled: "pd.Series[Any] | None") -> Datatype:
    """Text that was seen in training stays text, though a CSV may spell it in digits."""
    if hint.datatype is Datatype.BYTES or sampled is None:
        return hint.datatype or Datatype.FP64
    return datatype_of(sampled)


def _fitting(example: Any, datatype: Datatype) -> Any:
    if example is None:
        return EXAMPLES[datatype]
    match datatype:
        case Datatype.FP64:
            return float(example)
        case Datatype.BYTES:
            return str(example)
    return example


def _values(sampled: "pd.Series[Any]", column: Column) -> list[Any]:
    values = [None if pd.isna(value) else value for value in _plain(sampled)]
    if column.datatype is not Datatype.BYTES:
        return values
    return [value if value is None else str(value) for value in values]


def _plain(sampled: "pd.Series[Any]") -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in sampled.tolist()]
