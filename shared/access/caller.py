"""Whoever makes a request."""

from uuid import UUID

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Somebody who proved who they are. Everything they see belongs to their tenant."""

    user_id: UUID
    tenant_id: UUID
    key_id: UUID | None = None  # of the API key that they came with; None for an access token
