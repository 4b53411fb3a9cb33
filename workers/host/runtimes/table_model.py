"""A loaded model of tables: called with a DataFrame, described by trying it on a few rows."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Library, Output, Signature
from workers.host.error_text import describe as describe_error
from workers.host.rejection import Rejected
from workers.host.rows import RowReader, Rows
from workers.host.runtimes.runtime import Description
from workers.host.sample import datatype_of

LABEL = "label"
Outputs = dict[str, NDArray[Any]]
Call = Callable[[pd.DataFrame, Sequence[Column]], Outputs]
_KINDS = {
    "f": Datatype.FP64,
    "i": Datatype.INT64,
    "u": Datatype.INT64,
    "b": Datatype.BOOL,
    "U": Datatype.BYTES,
}
_DTYPES: dict[Datatype, Any] = {Datatype.FP64: np.float64, Datatype.INT64: np.int64, Datatype.BOOL: np.bool_}
EXAMPLES: dict[Datatype, Any] = {
    Datatype.FP64: 0.0,
    Datatype.INT64: 0,
    Datatype.BOOL: False,
    Datatype.BYTES: "",
}


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


class TableModel:
    """Predicts by a function of a DataFrame; see `LoadedModel` for what its attributes mean."""

    none_columns: frozenset[str] = frozenset()

    def __init__(
        self,
        call: Call,
        fitted: Any,
        declared: Declared,
        *,
        format: str,  # noqa: A002  the word that verdicts use
        estimator: str,
        libraries: dict[str, Library],
    ) -> None:
        self.fitted, self.format, self.estimator, self.libraries = fitted, format, estimator, libraries
        self.warnings: list[str] = []
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
            raise _probe_failed(
                describe_error(error), self._declared.remedy, given=table is not None
            ) from error
        outputs = [_output(name, values) for name, values in answers.items()]
        signature = msgspec.structs.replace(signature, outputs=outputs)
        return Description(signature=signature, rows=rows, warnings=[])

    def accept(self, signature: Signature) -> None:
        """Answer in the types of its first answer, or of its declaration."""
        self._columns = signature.inputs
        self._outputs = {output.name: output.datatype for output in signature.outputs}

    def predict(self, rows: Rows, outputs: Sequence[str]) -> Outputs:
        """The outputs asked for; all, where none is named."""
        if not isinstance(rows, pd.DataFrame):
            raise TypeError("a table is wanted")
        answers = self._call(rows, self._columns)
        for name, values in answers.items():
            if len(values) != len(rows):
                raise ValueError(f"the model answered {len(values)} rows where {len(rows)} were given")
            answers[name] = _typed(name, values, self._outputs.get(name))
        return {name: answers[name] for name in outputs or answers}

    def draws(self) -> bool:
        """Only trying it tells."""
        return False


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
    if datatype is None or _KINDS.get(values.dtype.kind) is datatype or values.dtype.kind == "O":
        return values
    if datatype is Datatype.BYTES:
        return values.astype(str)
    typed: NDArray[Any] = values.astype(_DTYPES[datatype])
    if datatype is Datatype.FP64 or np.array_equal(typed, values):
        return typed
    raise ValueError(f"the output {name!r} was declared, or found at upload, to be {datatype}, and is not")


def _output(name: str, values: NDArray[Any]) -> Output:
    datatype = _KINDS.get(values.dtype.kind)
    if datatype is None and all(isinstance(value, str | None) for value in values.reshape(-1).tolist()):
        datatype = Datatype.BYTES
    if datatype is None:
        raise Rejected(
            "output_unsupported",
            f"The output {name!r} holds other things than numbers, booleans, text, or lists of one length.",
            "Answer such a value for each row.",
        )
    return Output(name=name, datatype=datatype, shape=list(values.shape[1:]))


def _probe_failed(what: str, remedy: str, *, given: bool) -> Rejected:
    rows = "the rows given as examples" if given else "a made-up row"
    return Rejected("probe_failed", f"The model fails on {rows}: {what}.", remedy)
