"""The people of the organisation that the caller acts in."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import OWN_AFFAIRS, needs
from shared.access.caller import Caller
from shared.access.members import Member, Members
from shared.access.permissions import Role, Scope

MemberRef = Annotated[str, PathParameter(description="Id of the user.", max_length=200)]


class RoleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The role that a member is to have: owner, admin, member or viewer."""

    role: Role


class TransferRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to own the organisation in the caller's place."""

    user_id: UUID


@get("/", status_code=200, responses=answers(400, 401, 403, 422))
async def list_members(
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[Member]:
    """Who is in the organisation, the oldest accounts first."""
    found = await members.list_members(caller, after=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=lambda each: each, cursor=lambda each: each.user_id)


@patch("/{user:str}", status_code=200, opt=needs(Scope.ADMIN), responses=answers(401, 403, 404, 409, 422))
async def change_member(
    user: MemberRef,
    data: JSONBody[RoleRequest],
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
) -> Member:
    """Give a member another role. Nobody gives a role above their own; only owners change owners."""
    return await members.change_role(caller, user, role=data.role)


@delete("/{user:str}", status_code=204, opt=needs(Scope.ADMIN), responses=answers(401, 403, 404, 409))
async def remove_member(
    user: MemberRef, caller: NamedDependency[Caller], members: NamedDependency[Members]
) -> None:
    """Take somebody out of the organisation. Their API keys to it are revoked; models and jobs stay."""
    await members.remove(caller, user)


@post("/leave", status_code=204, opt=OWN_AFFAIRS, responses=answers(401, 403, 409))
async def leave_organization(caller: NamedDependency[Caller], members: NamedDependency[Members]) -> None:
    """Leave the organisation. Its only owner hands it over first."""
    await members.leave(caller)


@post("/transfer", status_code=200, opt=needs(Scope.ADMIN), responses=answers(401, 403, 404, 422))
async def transfer_organization(
    data: JSONBody[TransferRequest], caller: NamedDependency[Caller], members: NamedDependency[Members]
) -> Member:
    """Make a member owner in the caller's place, who is an admin from then on. For owners."""
    return await members.transfer(caller, str(data.user_id))


members_routes = Router("/members", route_handlers=[list_members, change_member, remove_member])
