"""A loaded model of tables: called with a DataFrame, described by trying it on a few rows."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from workers.host.rejection import Rejected
from workers.host.rows import RowReader, Rows
from workers.host.runtimes.library_model import (
    Answers,
    Facts,
    LibraryModel,
    probe_failed,
    refuse_other_counts,
)
from workers.host.runtimes.runtime import Description
from workers.host.runtimes.values import DTYPES, EXAMPLES, output_of
from workers.host.runtimes.values import datatype_of as answered_as
from workers.host.sample import datatype_of

Call = Callable[[pd.DataFrame, Sequence[Column]], Answers]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What came with the model of its inputs and outputs.

    Attributes:
        rows: examples.
        remedy: what to do where neither tells of the inputs.
    """

    columns: list[Column] | None = None
    rows: pd.DataFrame | None = None
    outputs: dict[str, Datatype] = {}
    remedy: str


class TableModel(LibraryModel):
    """Predicts by a function of a DataFrame."""

    def __init__(self, facts: Facts, call: Call, fitted: Any, *, declared: Declared) -> None:
        super().__init__(facts, fitted)
        self._call, self._declared = call, declared
        self._columns: Sequence[Column] = declared.columns or ()
        self._outputs = declared.outputs

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """Its inputs as declared or as the rows say, its outputs as the first call shows them."""
        table = self._declared.rows if sample is None else sample
        columns = _columns(self._declared, table)
        self._columns = columns
        signature = Signature(inputs=columns, named=True, layout=Layout.TABLE, outputs=[])
        rows = RowReader(signature, self.none_columns).from_lists(_values(columns, table), _count(table))
        try:
            answers = self.predict(rows, [])
        except Exception as error:
            remedy = self._declared.remedy
            raise probe_failed(error, sampled=table is not None, remedy=remedy) from error
        outputs = [_output(name, values) for name, values in answers.items()]
        signature = msgspec.structs.replace(signature, outputs=outputs)
        return Description(signature=signature, rows=rows, warnings=[])

    def accept(self, signature: Signature) -> None:
        """Answer in the types of its first answer, or of its declaration."""
        self._columns = signature.inputs
        self._outputs = {output.name: output.datatype for output in signature.outputs}

    def predict(self, rows: Rows, outputs: Sequence[str]) -> Answers:
        """The outputs asked for; all, where none is named."""
        if not isinstance(rows, pd.DataFrame):
            raise TypeError("a table is wanted")
        answers = self._call(rows, self._columns)
        refuse_other_counts(answers, len(rows))
        return {name: _typed(name, answers[name], self._outputs.get(name)) for name in outputs or answers}


def column(name: str, datatype: Datatype, example: Any = None) -> Column:
    """A column, with an example that fits."""
    return Column(name=name, datatype=datatype, example=EXAMPLES[datatype] if example is None else example)


def _columns(declared: Declared, table: pd.DataFrame | None) -> list[Column]:
    if table is None:
        if declared.columns is None:
            raise Rejected(
                "inputs_unknown", "The model does not say which columns it takes.", declared.remedy
            )
        return declared.columns
    if declared.columns is None:
        return [
            column(name, datatype_of(table[name]), _example(table[name])) for name in map(str, table.columns)
        ]
    missing = [one.name for one in declared.columns if one.name not in table.columns]
    if missing:
        raise Rejected(
            "sample_unusable",
            f"The rows given as examples lack the column(s) {', '.join(missing[:10])}.",
            "Give rows with every column that the model declares.",
        )
    return [column(one.name, one.datatype, _fitting(table[one.name], one)) for one in declared.columns]


def _example(values: "pd.Series[Any]") -> Any:
    present = values.dropna().tolist()
    return present[0] if present else None


def _fitting(values: "pd.Series[Any]", one: Column) -> Any:
    example = _example(values)
    return str(example) if one.datatype is Datatype.BYTES and example is not None else example


def _values(columns: list[Column], table: pd.DataFrame | None) -> list[list[Any]]:
    if table is None:
        return [[one.example] for one in columns]
    return [[None if pd.isna(value) else value for value in table[one.name].tolist()] for one in columns]


def _count(table: pd.DataFrame | None) -> int:
    return 1 if table is None else len(table)


def _typed(name: str, values: NDArray[Any], datatype: Datatype | None) -> NDArray[Any]:
    """In the type that the output has; None stays None.

    Raises:
        ValueError: it cannot be told so.
    """
    if datatype is None or values.dtype.kind == "O" or answered_as(values) is datatype:
        return values
    if datatype is Datatype.BYTES:
        return values.astype(str)
    typed: NDArray[Any] = values.astype(DTYPES[datatype])
    if datatype is Datatype.FP64 or np.array_equal(typed, values):
        return typed
    raise ValueError(f"the output {name!r} was declared, or found at upload, to be {datatype}, and is not")


def _output(name: str, values: NDArray[Any]) -> Output:
    texts = values.dtype.kind == "O" and all(
        isinstance(one, str | None) for one in values.reshape(-1).tolist()
    )
    if values.dtype.kind not in "fiubU" and not texts:
        raise Rejected(
            "output_unsupported",
            f"The output {name!r} holds other things than numbers, booleans, text, or lists of one length.",
            "Answer such a value for each row.",
        )
    return output_of(name, values)
