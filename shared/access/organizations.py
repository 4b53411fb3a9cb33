"""Organisations: whoever is in several sees and makes them here. Each is a row of `tenants`."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.acts import note_organization
from shared.access.caller import Caller
from shared.access.dissolution import dissolve
from shared.access.homes import add_member, add_tenant
from shared.access.members import NotAMember, current_role
from shared.access.messages import AccessNews
from shared.access.permissions import Role, RoleTooLow
from shared.access.roles import check_administers
from shared.access.tables import Tenant, User
from shared.access.team_tables import MemberRow
from shared.database.engine import Database
from shared.database.tenant_lock import lock_tenant
from shared.errors import Conflict, InvalidInput, NotFound
from shared.ids import parse_id
from shared.settings import Settings


class TooManyOrganizations(Conflict):
    """Somebody is in as many organisations as they may."""

    code = "too_many_organizations"


class OrganizationNotFound(NotFound):
    """The caller is in no organisation with this id."""

    code = "organization_not_found"


class NotConfirmed(InvalidInput):
    """What cannot be undone is to be confirmed by a name, and was not."""

    code = "not_confirmed"


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation, as somebody in it sees it."""

    id: UUID
    name: str
    role: Role  # of whoever asks
    created_at: datetime


class Organizations:
    """What the API does with organisations as such."""

    def __init__(self, settings: Settings, database: Database, news: AccessNews) -> None:
        self._most, self._database, self._news = settings.max_organizations, database, news

    async def get(self, caller: Caller) -> Organization:
        """The one that the caller acts in.

        Raises:
            NotAMember: they have left it.
        """
        async with self._database.transaction() as session:
            found = (
                await session.execute(_seen_by(caller).where(Tenant.id == caller.tenant_id))
            ).one_or_none()
        if found is None:
            raise NotAMember("you are no longer in this organisation; log in again")
        return _organization(found)

    async def list_mine(self, caller: Caller, *, after: UUID | None, limit: int) -> list[Organization]:
        """The caller's, by their ids, from the one behind `after`; one more than `limit` if there is."""
        query = _seen_by(caller)
        if after is not None:
            query = query.where(Tenant.id > after)
        async with self._database.transaction() as session:
            found = await session.execute(query.order_by(Tenant.id).limit(limit + 1))
            return [_organization(row) for row in found]

    async def list_all(self, caller: Caller) -> list[Organization]:
        """All that the caller may act in by what they came with: a key is for one alone."""
        found = await self.list_mine(caller, after=None, limit=self._most)
        return [each for each in found if caller.key_id is None or each.id == caller.tenant_id]

    async def create(self, caller: Caller, *, name: str) -> Organization:
        """One more, whose owner the caller is.

        Raises:
            TooManyOrganizations: they are in as many as they may.
        """
        async with self._database.transaction() as session:
            await make_room(session, caller.user_id, most=self._most)
            tenant = await add_tenant(session, name)
            await add_member(session, tenant_id=tenant.id, user_id=caller.user_id, role=Role.OWNER)
            await note_organization(session, tenant, "organization.create")
        return Organization(id=tenant.id, name=name, role=Role.OWNER, created_at=tenant.created_at)

    async def rename(self, caller: Caller, *, name: str) -> Organization:
        """Give the caller's organisation another name.

        Raises:
            RoleTooLow: the caller is neither owner nor admin.
        """
        async with self._database.transaction() as session:
            check_administers(await current_role(session, caller))
            tenant = await session.get_one(Tenant, caller.tenant_id, with_for_update=True)
            before, tenant.name = {"name": tenant.name}, name
            await note_organization(
                session, tenant, "organization.change", before=before, after={"name": name}
            )
        return await self.get(caller)

    async def delete(self, caller: Caller, *, confirm: str) -> None:
        """End the caller's organisation: here at once, in every other process within a second.

        Args:
            confirm: its name.

        Raises:
            RoleTooLow: the caller is no owner.
            NotConfirmed: that is not its name.
        """
        async with self._database.transaction() as session:
            await lock_tenant(session, caller.tenant_id)
            role = await current_role(session, caller)
            if role is not Role.OWNER:
                raise RoleTooLow(f"only an owner deletes the organisation; you are a {role}")
            tenant = await session.get_one(Tenant, caller.tenant_id, with_for_update={"key_share": True})
            if confirm != tenant.name:
                raise NotConfirmed(
                    f"this cannot be undone: to delete the organisation, send its name, {tenant.name!r},"
                    " as the parameter `confirm`"
                )
            await dissolve(session, tenant)
        await self._news.tell_organization(caller.tenant_id)


async def make_room(session: AsyncSession, user_id: UUID, *, most: int) -> None:
    """Let the user into one more organisation, until the transaction ends.

    Raises:
        TooManyOrganizations: they are in as many as they may.
    """
    # The user's row is held, so that two at once do not both find the last place free.
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    query = select(func.count()).select_from(MemberRow).where(MemberRow.user_id == user_id)
    if (await session.scalar(query) or 0) >= most:
        raise TooManyOrganizations(f"you are in {most} organisations, which is the most: leave one first")


async def check_is_in(session: AsyncSession, user_id: UUID, organization: str, *, lock: bool = False) -> None:
    """Let only those pass who are in it.

    Args:
        lock: they stay in it until the transaction ends.

    Raises:
        OrganizationNotFound: they are not, or there is none with this id.
    """
    tenant_id = parse_id(organization)
    key = None if tenant_id is None else (tenant_id, user_id)
    if (
        key is None
        or await session.get(MemberRow, key, with_for_update={"read": True} if lock else None) is None
    ):
        raise OrganizationNotFound(f"you are in no organisation with the id {organization!r}")


def _seen_by(caller: Caller) -> Select[Tenant, str]:
    query = select(Tenant, MemberRow.role).join(MemberRow, MemberRow.tenant_id == Tenant.id)
    return query.where(MemberRow.user_id == caller.user_id)


def _organization(row: Row[Tenant, str]) -> Organization:
    tenant, role = row
    return Organization(id=tenant.id, name=tenant.name, role=Role(role), created_at=tenant.created_at)
