"""A parameter that is not given is left out of the address: the word `null` is a value that does not fit.

The framework would read it as nothing, wherever nothing else is wanted than a number, a time or an id.
"""

from functools import cache
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from shared.errors import InvalidInput

_NULL = "null"


def refuse_nulls(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """For the `guards` of the application.

    Raises:
        InvalidInput: a parameter of the query that is no text is `null`.
    """
    for name, value in connection.query_params.multi_items():
        if value.lower() == _NULL and name in _no_texts(cast("HTTPRouteHandler", handler)):
            raise InvalidInput(f"the parameter {name} does not fit: leave it out, rather than send null")


@cache
def _no_texts(handler: HTTPRouteHandler) -> frozenset[str]:
    """Names of the handler's parameters that no text fits."""
    fields = handler.parsed_fn_signature.parameters
    return frozenset(
        getattr(field.kwarg_definition, "name", None) or name
        for name, field in fields.items()
        if str not in {field.annotation, *field.args}
    )
