"""May this caller do that?

Every route that is not public says what it takes, in its `opt` or its router's.
"""

from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.types import Scope as Connection

from shared.access.caller import Caller
from shared.access.grants import ModelNotGranted
from shared.access.permissions import Scope, check_permission

_OPT: Final = "needs"
_AS_CHANGING: Final = "as_changing"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Needed(msgspec.Struct, frozen=True):
    """The scopes that a route takes, for each of the two kinds of methods."""

    reading: tuple[Scope, ...]
    changing: tuple[Scope, ...]
    by_model: bool  # it knows of keys that are confined to some models; to these every other is closed


def needs(*scopes: Scope, reading: Scope | None = None, by_model: bool = False) -> dict[str, Any]:
    """For the `opt` of a router or a handler: the scopes that it takes.

    Args:
        reading: what GET and HEAD take instead.
        by_model: it shows and does only what belongs to the models that the caller may use
            (shared/access/grants.py). Without it a key that is confined to some may not use the route.
    """
    return {_OPT: Needed((reading,) if reading else scopes, scopes, by_model)}


def needs_to_change(*scopes: Scope) -> dict[str, Any]:
    """The same of a GET that hands out what changes can be made with: a viewer may not."""
    return {**needs(*scopes), _AS_CHANGING: True}


ANY_CALLER: Final = needs()  # whoever is known; a viewer may still only look
# Also for viewers: what they change is their own.
OWN_AFFAIRS: Final = {**ANY_CALLER, "own_affairs": True}


def check_route(scope: Connection, caller: Caller) -> None:
    """Refuse a caller who may not use the route of this request.

    Raises:
        RoleTooLow, ScopeMissing: see `check_permission`.
        ModelNotGranted: the API key is confined to some models, which the route knows nothing of.
    """
    handler: Any = scope["route_handler"]
    changing = scope.get("method") not in _READING or _AS_CHANGING in handler.opt
    needed: Needed = handler.opt[_OPT]
    check_permission(
        caller.role,
        caller.scopes,
        needed=needed.changing if changing else needed.reading,
        changing=changing and "own_affairs" not in handler.opt,
    )
    if caller.models is not None and not needed.by_model:
        raise ModelNotGranted("the API key is confined to some models, and this belongs to none")


def undeclared(app: Litestar) -> list[str]:
    """Routes of the application that are not public and do not say what they take."""
    handlers = (handler for route in app.routes for handler in getattr(route, "route_handlers", ()))
    return [str(handler) for handler in handlers if not {"public", _OPT} & set(handler.opt)]
