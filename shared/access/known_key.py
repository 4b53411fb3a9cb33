"""Whom an API key speaks for, as PostgreSQL knows it."""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.key_terms import terms_of
from shared.access.key_text import key_hash, key_id_of
from shared.access.known import Known
from shared.access.members import member_role
from shared.access.permissions import Role
from shared.access.tables import ApiKeyRow
from shared.database.now import database_now
from shared.errors import Unauthenticated

_NOTE_USE_EVERY = timedelta(minutes=1)


class InvalidKey(Unauthenticated):
    """Not an API key of this platform, or one that was revoked."""

    code = "invalid_api_key"


class KeyExpired(Unauthenticated):
    """It was a key, and its time is over, or that of the secret before a rotation."""

    code = "api_key_expired"


async def find_caller(session: AsyncSession, token: bytes) -> Known | None:
    """Whom the key speaks for, in the role that its maker has now. Notes that it was used, to the minute.

    None if it is unknown or revoked, or its maker has left the organisation.
    """
    key_id = key_id_of(token)
    row = await session.get(ApiKeyRow, key_id) if key_id else None
    if row is None:
        return None
    ends = _ends(row, key_hash(token))
    if ends is None:
        return None
    role = await member_role(session, tenant_id=row.tenant_id, user_id=row.user_id)
    if role is None:
        return None
    left_s = (min(ends) - await database_now(session)).total_seconds() if ends else None
    known = Known(_caller_of(row, role), left_s)
    if not known.has_expired:
        await _note_use(session, row.id)
    return known


def _caller_of(row: ApiKeyRow, role: Role) -> Caller:
    """Its maker, confined to what the key may do: the role is theirs, the rest is the key's."""
    terms = terms_of(row)
    return Caller(
        user_id=row.user_id,
        tenant_id=row.tenant_id,
        key_id=row.id,
        role=role,
        scopes=terms.scopes,
        models=terms.models,
        rate_limit=terms.rate_limit,
    )


def _ends(row: ApiKeyRow, hashed: str) -> list[datetime] | None:
    """When a secret of this hash ends, by each reason that there is; None: it is none of the key's."""
    of_key = [] if row.expires_at is None else [row.expires_at]
    if hmac.compare_digest(row.key_hash, hashed):
        return of_key
    if row.previous_hash is None or row.previous_expires_at is None:
        return None
    return [*of_key, row.previous_expires_at] if hmac.compare_digest(row.previous_hash, hashed) else None


async def _note_use(session: AsyncSession, key_id: UUID) -> None:
    long_ago = ApiKeyRow.last_used_at < func.now() - _NOTE_USE_EVERY
    await session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, or_(ApiKeyRow.last_used_at.is_(None), long_ago))
        .values(last_used_at=func.now())
    )
