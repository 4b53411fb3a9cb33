"""Whether columns of a type can feed the model, before a value of them is read."""

import pyarrow as pa

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.jobs.errors import ColumnsDoNotFit
from shared.predictions.arrow_arrays import array_fault
from shared.predictions.arrow_values import can_fit
from shared.predictions.values import WORDS
from workers.jobs.columns import model_datatypes


def check_fed(fields: list[pa.Field], signature: Signature) -> None:
    """Let through columns, in the model's order, that can feed it.

    Raises:
        ColumnsDoNotFit: no value of one of them can fit.
    """
    if signature.layout is Layout.TENSORS:
        _check_arrays(fields, signature.inputs)
    else:
        _check_scalars(fields, model_datatypes(signature))


def _check_scalars(fields: list[pa.Field], datatypes: list[Datatype]) -> None:
    for field, wanted in zip(fields, datatypes, strict=True):
        if not can_fit(field.type, wanted):
            raise ColumnsDoNotFit(
                f"the column {field.name!r} has the type {field.type}, and the model takes {WORDS[wanted]}",
                column=field.name,
            )


def _check_arrays(fields: list[pa.Field], inputs: list[Column]) -> None:
    for field, wanted in zip(fields, inputs, strict=True):
        fault = array_fault(field.type, wanted)
        if fault is not None:
            raise ColumnsDoNotFit(f"the column {field.name!r} does not fit: {fault}", column=field.name)
