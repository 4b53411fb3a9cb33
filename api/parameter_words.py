"""A parameter of the query that is read from a word that stands for something else is refused.

The framework would read `null` as nothing, wherever no text is wanted, and a number as seconds since 1970,
where a time is.
"""

from datetime import datetime
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from shared.errors import InvalidInput
from shared.number_text import is_number

_NULL: Final = "null"
_KINDS: Final = WeakKeyDictionary[BaseRouteHandler, dict[str, set[Any]]]()  # found out once for each handler


def refuse_odd_words(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """For the `guards` of the application.

    Raises:
        InvalidInput: a parameter that is no text is `null`, or one that is a time is a number.
    """
    if (
        connection.scope.get("method") == "OPTIONS"
    ):  # answered for every route, by a handler that takes nothing
        return
    for name, value in connection.query_params.multi_items():
        kinds = _kinds(cast("HTTPRouteHandler", handler)).get(name, {str})
        if value.lower() == _NULL and str not in kinds:
            raise InvalidInput(f"the parameter {name} does not fit: leave it out, rather than send null")
        if datetime in kinds and is_number(value):
            raise InvalidInput(f"the parameter {name} does not fit: a time is such as 2026-01-31T12:00:00Z")


def _kinds(handler: HTTPRouteHandler) -> dict[str, set[Any]]:
    """What each of the handler's parameters may be."""
    if (known := _KINDS.get(handler)) is not None:
        return known
    fields = handler.parsed_fn_signature.parameters
    found = _KINDS[handler] = {
        getattr(field.kwarg_definition, "name", None) or name: {field.annotation, *field.args}
        for name, field in fields.items()
    }
    return found
