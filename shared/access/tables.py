"""Who uses the platform: tenants, their users, and what they prove themselves with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified


class Tenant(Identified, Base):
    """An organisation: owner of models, jobs and keys. Everybody who registers gets one of their own."""

    __tablename__ = "tenants"
    __table_args__ = (
        Index("ix_tenants_own_quotas", "id", postgresql_where=text("quotas <> '{}'")),
        Index("ix_tenants_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    name: Mapped[str]
    webhook_salt: Mapped[bytes]  # the tenant's webhook secret is derived from it; a new salt is a new secret
    webhook_salt_before: Mapped[bytes | None]  # of the secret that a rotation replaced, which signs too until
    webhook_salt_before_until: Mapped[datetime | None]
    quotas: Mapped[dict[str, Any]] = mapped_column(  # by shared.quotas.quota.Quota; else the default
        default=dict, server_default=text("'{}'")
    )
    deleted_at: Mapped[datetime | None]  # since then nobody is in it; the row goes when all it had is removed


class User(Identified, Base):
    """Somebody who can log in."""

    __tablename__ = "users"

    # The organisation that they log in to, one of those in `members`. They do not go with it.
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    email: Mapped[str] = mapped_column(unique=True)  # in lower case
    full_name: Mapped[str]
    password_hash: Mapped[str]


class ApiKeyRow(Identified, Base):
    """A key that speaks for a user until it is revoked, which deletes it."""

    __tablename__ = "api_keys"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    key_hash: Mapped[str]  # SHA-256 of the whole key, in hexadecimal
    last4: Mapped[str]  # the key's last characters
    last_used_at: Mapped[datetime | None]  # to the minute

    # shared.access.key_terms.KeyTerms
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    models: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    expires_at: Mapped[datetime | None]
    rate_limit: Mapped[int | None]

    # Of the secret before the last rotation: it is good until then.
    previous_hash: Mapped[str | None]
    previous_expires_at: Mapped[datetime | None]
