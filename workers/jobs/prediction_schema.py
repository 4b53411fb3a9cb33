"""What the columns of a job's predictions are called, and of which types they are."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from shared.catalog.verdict import Output, Signature
from shared.jobs.errors import ColumnsDoNotFit
from shared.jobs.job import FileFormat
from shared.jobs.order import Order
from shared.predictions.arrow_values import ARROW_TYPES

_MAIN = "prediction"
# One of the numbers that the output holds. Of several targets each has its own: `probabilities_1`.
_SINGULAR = {"probabilities": "probability", "scores": "score"}


def prediction_schema(order: Order, taken: Iterable[str]) -> pa.Schema:
    """The columns of the prediction, and of the outputs that are wanted beside it, in their order.

    `prediction`, or `prediction_0`, `prediction_1`, … for several numbers; likewise `probability_<class>`
    and `score_<class>`, where the model names its classes. Of arrays, lists in lists. A name that is taken,
    by an input column or by one of ours before it, gets underscores at its end.

    Raises:
        ColumnsDoNotFit: an output has arrays, and is to be written as CSV.
    """
    if order.output_format is FileFormat.CSV:
        for output in order.outputs:
            _refuse_arrays(output, order.signature)
    used, fields = set(taken), []
    for output in order.outputs:
        for name in column_names(output, order.signature):
            fields.append((_free(name, used), _type(output)))
            used.add(fields[-1][0])
    return pa.schema(fields)


def column_names(output: Output, signature: Signature) -> Iterator[str]:
    """What its columns are called where nothing else is called so."""
    is_main = output.name == signature.main.name
    base = _MAIN if is_main else _base(output.name)
    if len(output.shape) != 1:
        yield base
        return
    classes = None if is_main else _classes(output, signature)
    parts = range(output.shape[0]) if classes is None else classes
    yield from (f"{base}_{part}" for part in parts)


def _base(name: str) -> str:
    kind, joint, target = name.partition("_")
    is_of_target = not joint or target.isdecimal()
    return _SINGULAR[kind] + joint + target if kind in _SINGULAR and is_of_target else name


def _classes(output: Output, signature: Signature) -> list[Any] | None:
    """Those that its numbers belong to, one each; None where it is not so."""
    classes = signature.classes if output.name in _SINGULAR and output.classes is None else output.classes
    return classes if classes is not None and len(classes) == output.shape[0] else None


def _type(output: Output) -> pa.DataType:
    kind = ARROW_TYPES[output.datatype]
    if len(output.shape) > 1:
        for _ in output.shape:
            kind = pa.list_(kind)
    return kind


def _refuse_arrays(output: Output, signature: Signature) -> None:
    if len(output.shape) > 1:
        what = (
            "the model answers" if output.name == signature.main.name else f"the output {output.name!r} has"
        )
        raise ColumnsDoNotFit(
            f"{what} arrays of shape {output.shape}, which CSV cannot hold:"
            " ask for the output as Parquet or JSON Lines"
        )


def _free(name: str, used: set[str]) -> str:
    while name in used:
        name += "_"
    return name
