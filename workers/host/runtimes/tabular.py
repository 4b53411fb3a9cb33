"""What models have in common whose file itself says which columns they take."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from workers.host.rejection import Rejected
from workers.host.rows import RowReader, row_count
from workers.host.runtimes.library_model import (
    LABEL,
    Answers,
    Facts,
    LibraryModel,
    probe_failed,
    refuse_other_counts,
)
from workers.host.runtimes.runtime import Description
from workers.host.runtimes.values import DTYPES, EXAMPLES, output_of

Answer = Callable[[Any, Sequence[str]], Answers]  # rows as the layout says, and which outputs are wanted

_PROBED_ROWS = 3  # so that rows cannot be mistaken for an axis of length one
_MOST_DIMENSIONS = 1  # of an answer's row
_SHOWN_NUMBERS = 1024  # a larger tensor is no example that anyone would read


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes, as its file says."""

    columns: list[Column]
    named: bool
    layout: Layout


class TabularModel(LibraryModel):
    """A model whose file says what it takes.

    Args:
        inputs: what it takes, given how many columns the sample has (None: there is no sample).
        answer: predicts; each answer has one entry a row.
        offers: the outputs that it may have.
    """

    def __init__(
        self,
        facts: Facts,
        inputs: Callable[[int | None], Inputs],
        answer: Answer,
        *,
        classes: list[Any] | None = None,
        offers: Sequence[str] = (LABEL,),
    ) -> None:
        super().__init__(facts)
        self._inputs, self._answer = inputs, answer
        self._classes, self._offers = classes, offers

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """Look at what the file says, then try it."""
        rows: Any
        inputs = self._inputs(None if sample is None else len(sample.columns))
        if not inputs.columns:
            raise Rejected(
                "inputs_unknown", "The model takes no columns.", "Train it on at least one column."
            )
        if inputs.layout is Layout.TENSORS:
            inputs, rows = with_examples(inputs, None), _tensors(inputs.columns)
        else:
            sample = None if sample is None else _fitting(sample, inputs)
            inputs = with_examples(inputs, sample)
            rows = _rows(inputs, sample)
        answers, classes = self.looked_at(self._tried(rows, sampled=sample is not None))
        signature = Signature(
            inputs=inputs.columns,
            named=inputs.named,
            layout=inputs.layout,
            outputs=[
                output_of(name, values, most_dimensions=_MOST_DIMENSIONS) for name, values in answers.items()
            ],
            classes=classes,
        )
        return Description(signature=signature, rows=rows, warnings=_warnings_of(inputs))

    def looked_at(self, answers: Answers) -> tuple[Answers, list[Any] | None]:
        """Which of the answers to the probe are offered, and the classes."""
        return answers, self._classes

    def predict(self, rows: Any, outputs: Sequence[str]) -> Answers:
        """By the model's own library."""
        answers = self._answer(rows, outputs)
        refuse_other_counts(answers, row_count(rows))
        return answers

    def _tried(self, rows: Any, *, sampled: bool) -> Answers:
        try:
            return self.predict(rows, self._offers)
        except Exception as error:
            raise probe_failed(error, sampled=sampled) from error


def numbered(width: int) -> list[Column]:
    """Columns of numbers without names."""
    return [Column(name=f"x{at}", datatype=Datatype.FP64) for at in range(width)]


def with_examples(inputs: Inputs, sample: pd.DataFrame | None) -> Inputs:
    """The same with a value that fits each column: the sample's first, or one that is made up."""
    columns = [
        _with_example(column, None if sample is None else sample[name])
        for column, name in zip(inputs.columns, _names(inputs, sample), strict=True)
    ]
    return msgspec.structs.replace(inputs, columns=columns)


def _with_example(column: Column, sampled: "pd.Series[Any] | None") -> Column:
    known = [] if sampled is None else _values(sampled.dropna().iloc[:1], column)
    made_up = column.example or EXAMPLES[column.datatype]
    example: Any = known[0] if known else made_up
    if column.shape and int(np.prod(column.shape)) <= _SHOWN_NUMBERS:
        example = np.full(column.shape, example, DTYPES[column.datatype]).tolist()
    return msgspec.structs.replace(column, example=example)


def _names(inputs: Inputs, sample: pd.DataFrame | None) -> list[str]:
    """How the sample calls the columns: by name where the model knows names, else in its order."""
    if inputs.named or sample is None:
        return [column.name for column in inputs.columns]
    return list(sample.columns[: len(inputs.columns)])


def _fitting(sample: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    missing = [column.name for column in inputs.columns if inputs.named and column.name not in sample]
    if missing:
        raise _sample_differs(f"lacks the column(s) {', '.join(missing[:10])}")
    if len(sample.columns) < len(inputs.columns):
        raise _sample_differs(
            f"has {len(sample.columns)} column(s) where the model takes {len(inputs.columns)}"
        )
    return sample


def _sample_differs(how: str) -> Rejected:
    return Rejected(
        "sample_unusable",
        f"The sample {how}.",
        "Send a CSV file with a header line, or a Parquet file, of rows as the model was trained on.",
    )


def _rows(inputs: Inputs, sample: pd.DataFrame | None) -> Any:
    signature = Signature(inputs=inputs.columns, named=inputs.named, layout=inputs.layout, outputs=[])
    if sample is None:
        values = [[column.example] * _PROBED_ROWS for column in inputs.columns]
    else:
        names = _names(inputs, sample)
        values = [_values(sample[name], column) for name, column in zip(names, inputs.columns, strict=True)]
    return RowReader(signature, frozenset()).from_lists(values, len(values[0]))


def _tensors(columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    return {
        column.name: np.full(
            (_PROBED_ROWS, *column.shape), EXAMPLES[column.datatype], DTYPES[column.datatype]
        )
        for column in columns
    }


def _values(sampled: "pd.Series[Any]", column: Column) -> list[Any]:
    """As Python's own scalars of the column's type.

    Raises:
        Rejected: one is of another type.
    """
    make = {
        Datatype.FP64: float,
        Datatype.FP32: float,
        Datatype.INT64: int,
        Datatype.BOOL: bool,
        Datatype.BYTES: str,
    }
    try:
        return [
            None if pd.isna(value) else make[column.datatype](value)
            for value in sampled.astype(object).tolist()
        ]
    except (TypeError, ValueError) as error:
        raise _sample_differs(f"holds what is no number in the column {column.name!r}") from error


def _warnings_of(inputs: Inputs) -> list[str]:
    if inputs.named or len(inputs.columns) == 1:
        return []
    return ["The model knows no column names: values count by their order."]
