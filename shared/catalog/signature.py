"""What a signature means for those who call the model."""

from typing import Any

from shared.catalog.verdict import Signature


def example_request(signature: Signature) -> dict[str, Any]:
    """A body that `POST predict/{model}` takes as it stands, of the values the model was probed with.

    One row by name where the model knows its columns by name; otherwise one row as an array, because
    then only the order counts.
    """
    if signature.named:
        return {"input": {column.name: column.example for column in signature.inputs}}
    return {"inputs": [[column.example for column in signature.inputs]]}
