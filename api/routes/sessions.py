"""A user's own sessions: where they are logged in."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from api.auth import comes_by_cookie
from api.browser_logins import BrowserLogins
from api.openapi import SESSION_ONLY, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import OWN_AFFAIRS
from api.session_only import session_only
from shared.access.caller import Caller
from shared.access.own_sessions import OwnSessions, require_session
from shared.access.session_tables import SessionRow

SessionRef = Annotated[str, PathParameter(description="Id of the session.", max_length=200)]


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in that has not ended. `address` and `user_agent` are of its last renewal."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    current: bool


class CsrfAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `X-CSRF-Token` holds."""

    csrf_token: str


@get("/sessions", status_code=200, security=SESSION_ONLY, responses=answers(400, 401, 403, 422))
async def list_sessions(
    caller: NamedDependency[Caller],
    sessions: NamedDependency[OwnSessions],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[SessionAnswer]:
    """Where the caller is logged in, the newest first. `last_used_at` is right to the minute."""
    found = await sessions.list_sessions(caller, before=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=lambda row: session_answer(row, caller), cursor=lambda row: row.id)


@delete("/sessions/{session:str}", status_code=204, security=SESSION_ONLY, responses=answers(401, 403, 404))
async def end_session(
    session: SessionRef, caller: NamedDependency[Caller], sessions: NamedDependency[OwnSessions]
) -> None:
    """End a session. Its access tokens stop within a second, everywhere."""
    await sessions.end(caller, session)


@post("/logout-everywhere", status_code=204, security=SESSION_ONLY, responses=answers(401, 403))
async def logout_everywhere(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    sessions: NamedDependency[OwnSessions],
    browser_logins: NamedDependency[BrowserLogins],
) -> Response[None]:
    """End every session of the caller, this one too. API keys are no sessions: they go on."""
    await sessions.end_all(caller)
    return Response(None, cookies=browser_logins.taken_back() if comes_by_cookie(request.scope) else None)


@get("/csrf", status_code=200, guards=[session_only], security=SESSION_ONLY, responses=answers(401, 403))
async def csrf_token(
    caller: NamedDependency[Caller], browser_logins: NamedDependency[BrowserLogins]
) -> CsrfAnswer:
    """The token that a page sends with every change which it asks for by cookie, as `X-CSRF-Token`.

    Good for as long as the session lasts.
    """
    return CsrfAnswer(csrf_token=browser_logins.csrf_token(require_session(caller)))


def session_answer(row: SessionRow, caller: Caller) -> SessionAnswer:
    """What its user is told of a session."""
    return SessionAnswer(
        id=row.id,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        address=row.address,
        user_agent=row.user_agent,
        current=row.id == caller.session_id,
    )


sessions_routes = Router(
    "/auth",
    route_handlers=[list_sessions, end_session, logout_everywhere, csrf_token],
    opt=OWN_AFFAIRS,
    tags=["Accounts"],
)
