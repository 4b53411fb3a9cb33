"""Organisations: the one that the caller acts in, and all of theirs."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from api.openapi import SESSION_ONLY, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import ANY_CALLER, OWN_AFFAIRS, needs
from api.routes.members import leave_organization, members_routes, transfer_organization
from api.session_only import session_only
from shared.access.caller import Caller
from shared.access.organizations import Organization, Organizations
from shared.access.permissions import Scope

OrganizationName = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$(?!\n)"),
    Meta(examples=["Weather Office"]),
]


Confirm = Annotated[
    str, QueryParameter(max_length=200, description="The organisation's name, as this cannot be undone.")
]


class OrganizationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an organisation is called. Several may have the same name."""

    name: OrganizationName


@get("/", status_code=200, responses=answers(401, 403))
async def get_organization(
    caller: NamedDependency[Caller], organizations: NamedDependency[Organizations]
) -> Organization:
    """The organisation that the caller acts in, and their role there."""
    return await organizations.get(caller)


@patch("/", status_code=200, opt=needs(Scope.ADMIN), responses=answers(401, 403, 422))
async def rename_organization(
    data: JSONBody[OrganizationRequest],
    caller: NamedDependency[Caller],
    organizations: NamedDependency[Organizations],
) -> Organization:
    """Give the organisation another name. For owners and admins."""
    return await organizations.rename(caller, name=data.name)


@delete("/", status_code=204, opt=needs(Scope.ADMIN), responses=answers(401, 403, 422))
async def delete_organization(
    caller: NamedDependency[Caller], organizations: NamedDependency[Organizations], confirm: Confirm = ""
) -> None:
    """Delete the organisation with all that it has, for good. For owners.

    Its sessions and API keys end at once, its jobs are cancelled; models, jobs and files are removed within
    hours.
    """
    await organizations.delete(caller, confirm=confirm)


@get("/", status_code=200, responses=answers(400, 401, 403, 422))
async def list_organizations(
    caller: NamedDependency[Caller],
    organizations: NamedDependency[Organizations],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[Organization]:
    """The organisations that the caller is in, the oldest first. `auth/switch` gives tokens for another."""
    found = await organizations.list_mine(caller, after=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=lambda each: each, cursor=lambda each: each.id)


@post("/", status_code=201, responses=answers(401, 403, 409, 422))
async def create_organization(
    data: JSONBody[OrganizationRequest],
    caller: NamedDependency[Caller],
    organizations: NamedDependency[Organizations],
) -> Organization:
    """Make one more organisation, whose owner the caller is."""
    return await organizations.create(caller, name=data.name)


organization_routes = Router(
    "/organization",
    route_handlers=[
        get_organization,
        rename_organization,
        delete_organization,
        leave_organization,
        transfer_organization,
        members_routes,
    ],
    opt=ANY_CALLER,
    guards=[session_only],
    security=SESSION_ONLY,
    tags=["Organizations"],
)
organizations_routes = Router(
    "/organizations",
    route_handlers=[list_organizations, create_organization],
    opt=OWN_AFFAIRS,
    guards=[session_only],
    security=SESSION_ONLY,
    tags=["Organizations"],
)
