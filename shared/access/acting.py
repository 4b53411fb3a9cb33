"""Who acts while a request is answered, for whatever is done on their behalf far from its handler.

Set once, by the authentication; a task that is started meanwhile inherits it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import msgspec

from shared.access.caller import Caller


class Acting(msgspec.Struct, frozen=True):
    """Who acts, and from where."""

    caller: Caller | None  # None: a route that is open to anybody
    address: str  # of the client; empty where it came over a Unix socket


_ACTING: ContextVar[Acting | None] = ContextVar("acting", default=None)


def acting() -> Acting | None:
    """Who acts; None outside of any request: the platform itself."""
    return _ACTING.get()


def acting_tenant() -> UUID | None:
    """The tenant that is acted for; None where nobody acts, or somebody who is not known."""
    now = _ACTING.get()
    return now.caller.tenant_id if now is not None and now.caller is not None else None


@contextmanager
def acting_as(acting: Acting) -> Iterator[None]:
    """Whatever happens inside is on their behalf."""
    token = _ACTING.set(acting)
    try:
        yield
    finally:
        _ACTING.reset(token)
