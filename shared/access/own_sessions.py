"""What somebody does with their own sessions."""

from uuid import UUID

from sqlalchemy import func, select

from shared.access.caller import Caller
from shared.access.messages import AccessNews
from shared.access.session_needed import SessionNeeded
from shared.access.session_tables import SessionRow
from shared.access.sessions import end_sessions
from shared.access.tables import User
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import NotFound
from shared.ids import parse_id


class SessionNotFound(NotFound):
    """The caller has no session of this id, or no longer."""

    code = "session_not_found"


class OwnSessions:
    """For whoever is logged in. An access token of a session that ended stops within a second."""

    def __init__(self, database: Database, news: AccessNews) -> None:
        self._database, self._news = database, news

    async def list_sessions(self, caller: Caller, *, before: UUID | None, limit: int) -> list[SessionRow]:
        """The newest first, begun before the one with the id `before`; one more than `limit` if there is.

        Raises:
            SessionNeeded: the caller came with an API key.
        """
        require_session(caller)
        query = select(SessionRow).where(
            SessionRow.user_id == caller.user_id, SessionRow.expires_at > func.now()
        )
        if before is not None:
            query = query.where(SessionRow.id < before)
        async with self._database.transaction() as session:
            return list(await session.scalars(query.order_by(SessionRow.id.desc()).limit(limit + 1)))

    async def end(self, caller: Caller, session_ref: str) -> None:
        """End one of them.

        Raises:
            SessionNeeded: the caller came with an API key.
            SessionNotFound: they have none of this id.
        """
        require_session(caller)
        session_id = parse_id(session_ref)
        async with self._database.transaction() as session:
            ended = await end_sessions(
                session, SessionRow.id == session_id, SessionRow.user_id == caller.user_id
            )
            if not ended:
                raise SessionNotFound(f"you have no session with the id {session_ref!r}")
            await record_audit(
                session, action="auth.session_end", target=Target(type="session", id=session_id)
            )
        await self._news.tell_sessions(*ended)

    async def end_all(self, caller: Caller) -> None:
        """End every one, the caller's own among them.

        Raises:
            SessionNeeded: the caller came with an API key.
        """
        require_session(caller)
        async with self._database.transaction() as session:
            user = await session.get_one(User, caller.user_id, with_for_update={"key_share": True})
            await end_sessions(session, SessionRow.user_id == user.id)
            target = Target(type="user", id=user.id, name=user.email)
            await record_audit(session, action="auth.logout_everywhere", target=target)
        await self._news.tell_users(caller.user_id)


def require_session(caller: Caller) -> UUID:
    """The caller's session.

    Raises:
        SessionNeeded: they came with an API key.
    """
    if caller.session_id is None:
        raise SessionNeeded("an account is looked after by somebody who logged in, not with an API key")
    return caller.session_id
