"""Every API key that somebody made, ended at once."""

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import ApiKeyRow, User
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit


async def revoke_keys_of(session: AsyncSession, user: User) -> int:
    """Revoke all that speak for the user, in any organisation, which its own log is told; and how many.

    `AccessNews.tell_users` after the commit.
    """
    revoked = await session.execute(
        delete(ApiKeyRow)
        .where(ApiKeyRow.user_id == user.id)
        .returning(ApiKeyRow.id, ApiKeyRow.name, ApiKeyRow.tenant_id)
    )
    rows = revoked.all()
    for key_id, name, tenant_id in rows:
        await record_audit(
            session,
            action="api_key.revoke",
            target=Target(type="api_key", id=key_id, name=name),
            tenant_id=tenant_id,
            actor=Actor.user(user.id, user.email),
        )
    return len(rows)
