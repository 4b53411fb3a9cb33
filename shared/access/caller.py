"""Whoever makes a request."""

from uuid import UUID

import msgspec

from shared.access.permissions import Role, Scope


class Caller(msgspec.Struct, frozen=True):
    """Somebody who proved who they are. Everything they see belongs to their tenant."""

    user_id: UUID
    tenant_id: UUID
    key_id: UUID | None = None  # of the API key that they came with; None for an access token
    role: Role = Role.OWNER  # in the tenant
    scopes: frozenset[Scope] | None = None  # of the key; None: whatever the role allows
    models: frozenset[UUID] | None = None  # that the key may use; None: all of the tenant's
    rate_limit: int | None = None  # of the key, requests a minute of each kind; None: as the platform allows
    session_id: UUID | None = None  # of the access token that they came with; None for an API key
