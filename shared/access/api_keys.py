"""API keys: made, listed, changed, rotated, revoked, and known again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.key_terms import KeyChanges, KeyTerms, check_terms, set_terms, terms_of
from shared.access.key_text import key_hash, last_characters, new_key_text
from shared.access.messages import AccessNews
from shared.access.roles import administers
from shared.access.session_needed import refuse_keys
from shared.access.tables import ApiKeyRow, Tenant
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.database.now import database_now
from shared.errors import Conflict, NotAllowed, NotFound
from shared.ids import new_id, parse_id
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of
from shared.quotas.quota import Quota
from shared.settings import Settings

_UNCONFINED = KeyTerms()


class KeyNotFound(NotFound):
    """No API key that the caller may manage has this id."""

    code = "api_key_not_found"


class TooManyKeys(Conflict):
    """The tenant has as many API keys as it may."""

    code = "too_many_api_keys"


class NotYourKey(NotAllowed):
    """Only whoever made the key may do this."""

    code = "not_your_key"


class NewKey(msgspec.Struct, frozen=True):
    """A key, and its text, which is nowhere else."""

    row: ApiKeyRow
    text: str


class ApiKeys:
    """What the API does with a tenant's keys. Whoever holds a key may not make more of them.

    Everybody manages the keys that they made, owners and admins those of the whole organisation.
    """

    def __init__(self, settings: Settings, database: Database, news: AccessNews) -> None:
        self._settings, self._database, self._news = settings, database, news

    async def create(self, caller: Caller, *, name: str, terms: KeyTerms = _UNCONFINED) -> NewKey:
        """Make a key that speaks for the caller until it expires or is revoked.

        Raises:
            SessionNeeded: the caller came with a key.
            RoleTooLow, InvalidInput: it cannot be on these terms.
            TooManyKeys: the tenant has as many as it may.
        """
        _require_session(caller)
        key_id = new_id()
        text = new_key_text(key_id)
        async with self._database.transaction() as session:
            await self._check(session, caller, terms)
            await self._make_room(session, caller.tenant_id)
            row = ApiKeyRow(id=key_id, tenant_id=caller.tenant_id, user_id=caller.user_id, name=name)
            _set_secret(row, text)
            set_terms(row, terms)
            session.add(row)
            await _note(session, "api_key.create", row, after=terms)
        return NewKey(row, text)

    async def get(self, caller: Caller, key: str) -> ApiKeyRow:
        """One key.

        Raises:
            SessionNeeded: the caller came with a key.
            KeyNotFound: no such key, or another's.
        """
        _require_session(caller)
        async with self._database.transaction() as session:
            return await _find_key(session, caller, key)

    async def list_keys(self, caller: Caller, *, before: UUID | None, limit: int) -> list[ApiKeyRow]:
        """Those that the caller manages, the newest first; one more than `limit` if there is.

        Args:
            before: only those made before the key with this id.

        Raises:
            SessionNeeded: the caller came with a key.
        """
        _require_session(caller)
        query = select(ApiKeyRow).where(_is_managed_by(caller))
        if before is not None:
            query = query.where(ApiKeyRow.id < before)
        async with self._database.transaction() as session:
            return list(await session.scalars(query.order_by(ApiKeyRow.id.desc()).limit(limit + 1)))

    async def change(self, caller: Caller, key: str, changes: KeyChanges) -> ApiKeyRow:
        """Change a key: here at once, in every other process within a second.

        Raises:
            SessionNeeded: the caller came with a key.
            KeyNotFound: no such key, or another's.
            RoleTooLow, InvalidInput: it cannot be on these terms.
        """
        async with self._changing(caller, key) as (session, row):
            before = terms_of(row)
            await self._check(session, caller, changes.terms())
            set_terms(row, changes.terms(), only=changes.changed_terms())
            if changes.name is not UNSET:
                row.name = changes.name
            await _note(session, "api_key.change", row, before=before, after=terms_of(row))
        return row

    async def rotate(self, caller: Caller, key: str, *, grace_s: int | None = None) -> NewKey:
        """Give a key another secret. The one before is good for a while longer, any older one no more.

        Args:
            grace_s: how long; None: as the settings say.

        Raises:
            SessionNeeded: the caller came with a key.
            KeyNotFound: no such key, or another's.
            NotYourKey: somebody else made it, for whom the new secret would speak.
        """
        grace = timedelta(seconds=self._settings.api_key_grace_s if grace_s is None else grace_s)
        async with self._changing(caller, key) as (session, row):
            if row.user_id != caller.user_id:
                raise NotYourKey(
                    "only whoever made the key can rotate it; you can revoke it, and make your own"
                )
            row.previous_hash = row.key_hash
            row.previous_expires_at = await database_now(session) + grace
            text = new_key_text(row.id)
            _set_secret(row, text)
            await _note(session, "api_key.rotate", row)
        return NewKey(row, text)

    async def revoke(self, caller: Caller, key: str) -> None:
        """End a key: here at once, in every other process within a second.

        Raises:
            SessionNeeded: the caller came with a key.
            KeyNotFound: no such key, or another's.
        """
        async with self._changing(caller, key) as (session, row):
            await _note(session, "api_key.revoke", row)
            await session.delete(row)

    @asynccontextmanager
    async def _changing(self, caller: Caller, key: str) -> AsyncIterator[tuple[AsyncSession, ApiKeyRow]]:
        """A transaction that holds the key for itself; after its commit everybody is told."""
        _require_session(caller)
        async with self._database.transaction() as session:
            row = await _find_key(session, caller, key, lock=True)
            yield session, row
        await self._news.tell_key(row.id)

    async def _check(self, session: AsyncSession, caller: Caller, terms: KeyTerms) -> None:
        check_terms(terms, self._settings, role=caller.role, now=await database_now(session))

    async def _make_room(self, session: AsyncSession, tenant_id: UUID) -> None:
        # The tenant's row is held, so that two at once do not both find the last place free.
        await session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
        most = await limit_of(session, tenant_id, Quota.API_KEYS, settings=self._settings)
        if most and await held(session, tenant_id, Quota.API_KEYS) >= most:
            raise TooManyKeys(f"there are {most} API keys, which is the most: revoke one first")


async def _find_key(session: AsyncSession, caller: Caller, key: str, *, lock: bool = False) -> ApiKeyRow:
    key_id = parse_id(key)
    query = select(ApiKeyRow).where(ApiKeyRow.id == key_id, _is_managed_by(caller))
    row = None if key_id is None else await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise KeyNotFound(f"no API key has the id {key!r}")
    return row


def _is_managed_by(caller: Caller) -> ColumnElement[bool]:
    of_tenant = ApiKeyRow.tenant_id == caller.tenant_id
    if administers(caller.role):
        return of_tenant
    return and_(of_tenant, ApiKeyRow.user_id == caller.user_id)


def _set_secret(row: ApiKeyRow, text: str) -> None:
    row.key_hash, row.last4 = key_hash(text.encode()), last_characters(text)


def _require_session(caller: Caller) -> None:
    refuse_keys(caller, "API keys are managed by somebody who logged in, not with an API key")


async def _note(
    session: AsyncSession,
    action: str,
    row: ApiKeyRow,
    *,
    before: KeyTerms | None = None,
    after: KeyTerms | None = None,
) -> None:
    await record_audit(
        session,
        action=action,
        target=Target(type="api_key", id=row.id, name=row.name),
        before=None if before is None else msgspec.to_builtins(before),
        after=None if after is None else msgspec.to_builtins(after),
        tenant_id=row.tenant_id,
    )
