"""Invitations: to the organisation that the caller acts in, and to the caller."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from api.openapi import SESSION_ONLY, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import OWN_AFFAIRS, needs
from api.session_only import session_only
from shared.access.caller import Caller
from shared.access.invitations import Invitations
from shared.access.permissions import Role, Scope
from shared.access.team_tables import InvitationRow

InvitationRef = Annotated[str, PathParameter(description="Id of the invitation.", max_length=200)]
InvitationToken = Annotated[str, Meta(max_length=500)]


class NewInvitationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to join, and as what: owner, admin, member or viewer."""

    email: Annotated[str, Meta(max_length=320, examples=["colleague@example.com"])]
    role: Role = Role.MEMBER


class AcceptRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token that was in the mail."""

    token: InvitationToken


class InvitationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that waits, or has expired and can be sent again. Only the mail has its token."""

    id: UUID
    email: str
    role: Role
    invited_by: UUID
    sent_at: datetime
    expires_at: datetime


class AcceptedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the caller is a member now; `auth/switch` gives tokens for it."""

    organization_id: UUID
    role: Role


@post("/", status_code=201, responses=answers(401, 403, 409, 422))
async def create_invitation(
    data: JSONBody[NewInvitationRequest],
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
) -> InvitationAnswer:
    """Mail somebody a token with which they join, with an account that they have or with a new one."""
    return invitation_answer(await invitations.create(caller, email=data.email, role=data.role))


@get("/", status_code=200, responses=answers(400, 401, 403, 422))
async def list_invitations(
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[InvitationAnswer]:
    """The invitations that wait, or have expired, the newest first."""
    found = await invitations.list_open(caller, before=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=invitation_answer, cursor=lambda row: row.id)


@delete("/{invitation:str}", status_code=204, responses=answers(401, 403, 404))
async def revoke_invitation(
    invitation: InvitationRef, caller: NamedDependency[Caller], invitations: NamedDependency[Invitations]
) -> None:
    """Make the token of an invitation void."""
    await invitations.revoke(caller, invitation)


@post("/{invitation:str}/resend", status_code=200, responses=answers(401, 403, 404))
async def resend_invitation(
    invitation: InvitationRef, caller: NamedDependency[Caller], invitations: NamedDependency[Invitations]
) -> InvitationAnswer:
    """Mail a new token, once a minute at most. The one before is void."""
    return invitation_answer(await invitations.resend(caller, invitation))


@post("/invitations/accept", status_code=200, responses=answers(401, 403, 404, 409, 422))
async def accept_invitation(
    data: JSONBody[AcceptRequest], caller: NamedDependency[Caller], invitations: NamedDependency[Invitations]
) -> AcceptedAnswer:
    """Join an organisation, with the account whose address was invited."""
    member = await invitations.accept(caller, data.token)
    return AcceptedAnswer(organization_id=member.tenant_id, role=Role(member.role))


def invitation_answer(row: InvitationRow) -> InvitationAnswer:
    """What those who administer see of an invitation: never the hash."""
    return InvitationAnswer(
        id=row.id,
        email=row.email,
        role=Role(row.role),
        invited_by=row.invited_by,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
    )


invitations_routes = Router(
    "/organization/invitations",
    route_handlers=[create_invitation, list_invitations, revoke_invitation, resend_invitation],
    opt=needs(Scope.ADMIN),
    guards=[session_only],
    security=SESSION_ONLY,
    tags=["Organizations"],
)
accepting_routes = Router(
    "/",
    route_handlers=[accept_invitation],
    opt=OWN_AFFAIRS,
    guards=[session_only],
    security=SESSION_ONLY,
    tags=["Organizations"],
)
