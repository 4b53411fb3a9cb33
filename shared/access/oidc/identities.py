"""Identities in their table: found, made into accounts, and linked to accounts that there are."""

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.accounts import add_user
from shared.access.oidc.identity import Identity
from shared.access.oidc.tables import IdentityRow
from shared.access.tables import User
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit
from shared.ids import new_id

NO_PASSWORD: Final = "!"  # noqa: S105  no password has this hash


async def user_of(session: AsyncSession, identity: Identity) -> User | None:
    """Whose identity it is, if anybody's. Notes the address that it has now."""
    noted = update(IdentityRow).where(_is(identity)).values(email=identity.email)
    user_id = await session.scalar(noted.returning(IdentityRow.user_id))
    return None if user_id is None else await session.get(User, user_id)


async def has_account(session: AsyncSession, identity: Identity) -> bool:
    """Whether somebody has an account with this address."""
    return await session.scalar(select(User.id).where(User.email == identity.email)) is not None


async def add_account(session: AsyncSession, identity: Identity) -> User:
    """An account for whoever has none, with an organisation of its own and no password.

    Raises:
        IntegrityError: meanwhile somebody has the address or the identity.
    """
    user = await add_user(
        session, email=identity.email, full_name=identity.full_name, password_hash=NO_PASSWORD
    )
    await _note(session, "auth.register", user, identity)
    await link(session, user, identity)
    return user


async def link(session: AsyncSession, user: User, identity: Identity) -> bool:
    """Let the identity log in to the account from now on; False where it logs in to another.

    To link it twice changes nothing.
    """
    added = await session.scalar(
        insert(IdentityRow)
        .values(
            id=new_id(),
            user_id=user.id,
            issuer=identity.issuer,
            subject=identity.subject,
            email=identity.email,
            created_at=func.now(),
        )
        .on_conflict_do_nothing(index_elements=["issuer", "subject"])
        .returning(IdentityRow.id)
    )
    if added is not None:
        await _note(session, "identity.link", user, identity)
        return True
    return await _owner_id(session, identity) == user.id


async def unlink_others(session: AsyncSession, user: User) -> None:
    """Unlink identities with another address than the account's.

    For whoever has proved that the address is theirs: somebody else may have had the account under another
    address before, linked their identity, and then changed the address to this one.
    """
    await session.execute(
        delete(IdentityRow).where(IdentityRow.user_id == user.id, IdentityRow.email != user.email)
    )


async def _owner_id(session: AsyncSession, identity: Identity) -> UUID | None:
    return await session.scalar(select(IdentityRow.user_id).where(_is(identity)))


def _is(identity: Identity) -> ColumnElement[bool]:
    return and_(IdentityRow.issuer == identity.issuer, IdentityRow.subject == identity.subject)


async def _note(session: AsyncSession, action: str, user: User, identity: Identity) -> None:
    await record_audit(
        session,
        action=action,
        target=Target(type="user", id=user.id, name=user.email),
        after={"issuer": identity.issuer, "subject": identity.subject},
        tenant_id=user.tenant_id,
        actor=Actor.user(user.id, user.email),
    )
