"""Whoever makes a request."""

from uuid import UUID

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Somebody who proved who they are. Everything they see belongs to their tenant."""

    user_id: UUID
    tenant_id: UUID
