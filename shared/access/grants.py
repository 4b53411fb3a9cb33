"""Which models the caller may use: all of their tenant's, unless their API key is confined to some.

What is not granted is as if it were not there: the same 404 as of another tenant's, and lists leave it out.
Every story applies it where it looks its rows up.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, true

from shared.access.acting import acting
from shared.access.caller import Caller
from shared.errors import NotAllowed

Granted = frozenset[UUID] | None  # ids of models; None: all of the tenant's


class ModelNotGranted(NotAllowed):
    """The API key is confined to some models, and this reaches beyond them."""

    code = "model_not_granted"


def granted_models() -> Granted:
    """Those of whoever acts; the platform itself may use all."""
    caller = confined_caller()
    return None if caller is None else caller.models


def confined_caller() -> Caller | None:
    """Whoever acts, if they came with a key that is confined to some models."""
    now = acting()
    caller = None if now is None else now.caller
    return caller if caller is not None and caller.models is not None else None


def is_granted(model_id: SQLColumnExpression[Any], granted: Granted) -> ColumnElement[bool]:
    """The condition that a column holds the id of a model among `granted`."""
    return true() if granted is None else model_id.in_(granted)


def may_use(model_id: UUID | None) -> bool:
    """Whether whoever acts may use that model."""
    granted = granted_models()
    return granted is None or model_id in granted
