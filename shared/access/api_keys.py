"""API keys: made, listed, revoked, and known again."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.key_text import key_hash, key_id_of, last_characters, new_key_text
from shared.access.members import member_role
from shared.access.messages import announce_key
from shared.access.roles import administers
from shared.access.tables import ApiKeyRow, Tenant
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import Conflict, NotAllowed, NotFound, Unauthenticated
from shared.ids import new_id, parse_id
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of
from shared.quotas.quota import Quota
from shared.settings import Settings

_NOTE_USE_EVERY = timedelta(minutes=1)


class InvalidKey(Unauthenticated):
    """Not an API key of this platform, or one that was revoked."""

    code = "invalid_api_key"


class KeyNotFound(NotFound):
    """No API key of the caller's tenant has this id."""

    code = "api_key_not_found"


class TooManyKeys(Conflict):
    """The tenant has as many API keys as it may."""

    code = "too_many_api_keys"


class SessionNeeded(NotAllowed):
    """Only somebody who logged in may do this."""

    code = "session_needed"


class NewKey(msgspec.Struct, frozen=True):
    """A key, and its text, which is nowhere else."""

    row: ApiKeyRow
    text: str


class ApiKeys:
    """What the API does with a tenant's keys. Whoever holds a key may not make more of them."""

    def __init__(
        self, settings: Settings, database: Database, redis: Redis, *, forget: Callable[[UUID], None]
    ) -> None:
        """Keep what they need.

        Args:
            forget: called with each key that was revoked here, ahead of the message to other processes.
        """
        self._settings = settings
        self._database, self._redis, self._forget = database, redis, forget

    async def create(self, caller: Caller, *, name: str) -> NewKey:
        """Make a key that speaks for the caller until it is revoked.

        Raises:
            SessionNeeded: the caller came with a key.
            TooManyKeys: the tenant has as many as it may.
        """
        _require_session(caller)
        key_id = new_id()
        text = new_key_text(key_id)
        async with self._database.transaction() as session:
            await self._make_room(session, caller.tenant_id)
            row = ApiKeyRow(
                id=key_id,
                tenant_id=caller.tenant_id,
                user_id=caller.user_id,
                name=name,
                key_hash=key_hash(text.encode()),
                last4=last_characters(text),
            )
            session.add(row)
            await record_audit(
                session, action="api_key.create", target=_target(key_id, name), tenant_id=caller.tenant_id
            )
        return NewKey(row, text)

    async def list_keys(self, caller: Caller, *, before: UUID | None, limit: int) -> list[ApiKeyRow]:
        """The newest first, made before the key with the id `before`; one more than `limit` if there is.

        Owners and admins see all of the organisation, others their own.

        Raises:
            SessionNeeded: the caller came with a key.
        """
        _require_session(caller)
        query = select(ApiKeyRow).where(*_in_reach(caller))
        if before is not None:
            query = query.where(ApiKeyRow.id < before)
        async with self._database.transaction() as session:
            return list(await session.scalars(query.order_by(ApiKeyRow.id.desc()).limit(limit + 1)))

    async def revoke(self, caller: Caller, key: str) -> None:
        """End a key: here at once, in every other process within a second.

        Raises:
            SessionNeeded: the caller came with a key.
            KeyNotFound: no such key, or another's whose keys are not the caller's to revoke.
        """
        _require_session(caller)
        key_id = parse_id(key)
        if key_id is None or not await self._delete(caller, key_id):
            raise KeyNotFound(f"no API key has the id {key!r}")
        self._forget(key_id)
        await announce_key(self._redis, key_id)

    async def _make_room(self, session: AsyncSession, tenant_id: UUID) -> None:
        # The tenant's row is held, so that two at once do not both find the last place free.
        await session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
        most = await limit_of(session, tenant_id, Quota.API_KEYS, settings=self._settings)
        if most and await held(session, tenant_id, Quota.API_KEYS) >= most:
            raise TooManyKeys(f"there are {most} API keys, which is the most: revoke one first")

    async def _delete(self, caller: Caller, key_id: UUID) -> bool:
        async with self._database.transaction() as session:
            found = await session.scalar(
                delete(ApiKeyRow).where(ApiKeyRow.id == key_id, *_in_reach(caller)).returning(ApiKeyRow.name)
            )
            if found is not None:
                target = _target(key_id, found)
                await record_audit(
                    session, action="api_key.revoke", target=target, tenant_id=caller.tenant_id
                )
        return found is not None


def _in_reach(caller: Caller) -> list[ColumnElement[bool]]:
    """The keys that the caller sees and may revoke."""
    own = [] if administers(caller.role) else [ApiKeyRow.user_id == caller.user_id]
    return [ApiKeyRow.tenant_id == caller.tenant_id, *own]


async def find_caller(session: AsyncSession, token: bytes) -> Caller | None:
    """Whom the key speaks for, in the role that its maker has now. Notes that it was used, to the minute.

    None if it is unknown or revoked, or its maker has left the organisation.
    """
    key_id = key_id_of(token)
    row = await session.get(ApiKeyRow, key_id) if key_id else None
    if row is None or not hmac.compare_digest(row.key_hash, key_hash(token)):
        return None
    role = await member_role(session, tenant_id=row.tenant_id, user_id=row.user_id)
    if role is None:
        return None
    await _note_use(session, row.id)
    return Caller(user_id=row.user_id, tenant_id=row.tenant_id, key_id=row.id, role=role)


async def _note_use(session: AsyncSession, key_id: UUID) -> None:
    long_ago = ApiKeyRow.last_used_at < func.now() - _NOTE_USE_EVERY
    await session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, or_(ApiKeyRow.last_used_at.is_(None), long_ago))
        .values(last_used_at=func.now())
    )


def _target(key_id: UUID, name: str) -> Target:
    return Target(type="api_key", id=key_id, name=name)


def _require_session(caller: Caller) -> None:
    if caller.key_id is not None:
        raise SessionNeeded("API keys are managed by somebody who logged in, not with an API key")
