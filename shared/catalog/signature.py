"""What a signature means for those who call the model."""

from math import prod
from typing import Any, Final

from shared.catalog.verdict import Column, Signature

SHOWN_VALUES: Final = 64  # of one array; a larger one is described


def example_request(signature: Signature) -> dict[str, Any]:
    """A body that `POST predict/{model}` takes as it stands, of the values the model was probed with.

    One row by name where the model knows its columns by name; otherwise one row as an array, because
    then only the order counts. An array too large to be read by people is described in words instead.
    """
    if signature.named:
        return {"input": {column.name: example_value(column) for column in signature.inputs}}
    return {"inputs": [[example_value(column) for column in signature.inputs]]}


def example_value(column: Column) -> Any:
    """One row's value: nested lists of a column's example, where that is a scalar."""
    if not column.shape:
        return column.example
    if prod(column.shape) > SHOWN_VALUES:
        return f"{' lists of '.join(map(str, column.shape))} values of {column.datatype}"
    value = column.example
    if not isinstance(value, list):
        for size in reversed(column.shape):
            value = [value] * size
    return value
