"""Accounts: register, log in, stay logged in."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from api.auth import PUBLIC
from api.browser_logins import BrowserLogins
from api.openapi import ANYBODY, SESSION_ONLY, answer, answers
from api.permissions import OWN_AFFAIRS, needs
from api.rate_limit import LIMITED_AS_LOGIN
from api.session_only import session_only
from shared.access.accounts import Accounts, LoggedIn
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.organizations import Organization, Organizations
from shared.access.tables import User
from shared.settings import Settings

LOGIN = {**PUBLIC, **LIMITED_AS_LOGIN}

# What every address is like; the rest is looked at by `normal_email`, whose error says what to do.
EMAIL = r"^\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*$"
Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["John Doe"])]
Email = Annotated[
    str, Meta(max_length=320, examples=["user@example.com"], extra_json_schema={"pattern": EMAIL})
]
Password = Annotated[str, Meta(max_length=1000, examples=["SecureP@ss123"])]
NewPassword = Annotated[
    Password, Meta(extra_json_schema={"minLength": 8}, description="At least 8 characters.")
]
Token = Annotated[str, Meta(max_length=500)]
AnyRequest = Request[Any, Any, Any]


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account."""

    email: Email
    password: NewPassword
    full_name: Name = ""
    invitation: Annotated[
        Token | None, Meta(description="Token of an invitation to join.", examples=[None])
    ] = None


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who wants to log in."""

    email: Email
    password: Password
    cookies: Annotated[
        bool,
        Meta(
            description="For pages of this platform: the tokens come as cookies, which no script sees.",
            examples=[False],
        ),
    ] = False


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest refresh token of a log-in; left out, it is that of the browser's cookie."""

    refresh_token: Token | None = None


class SwitchRequest(RefreshRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which organisation to go on in, and the newest refresh token of the log-in."""

    organization: Annotated[str, Meta(max_length=200, description="Its id.")]


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user, as they see themselves.

    `tenant_id` is the organisation that they act in, `home_organization_id` the one that they log in to;
    null to an API key that is for another.
    """

    id: UUID
    email: str
    full_name: str
    tenant_id: UUID
    home_organization_id: UUID | None
    created_at: datetime


class MeAnswer(UserAnswer, frozen=True, kw_only=True):
    """A user, and the organisations that they may act in, with their role in each."""

    organizations: list[Organization]


class TokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a log-in. Send `Authorization: Bearer <access_token>`; it expires in `expires_in` seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  the kind, not a token
    expires_in: int
    user: UserAnswer


class CookiesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in by cookies, which `auth/refresh` renews within `expires_in` seconds.

    Every change takes `X-CSRF-Token: <csrf_token>`.
    """

    csrf_token: str
    expires_in: int
    user: UserAnswer


LoginAnswer = Response[TokensAnswer] | Response[CookiesAnswer]
LOGGED_IN = {
    200: answer(
        TokensAnswer | CookiesAnswer,
        "Logged in. The second is of a log-in by cookies, which the answer sets.",
    )
}


@post("/register", status_code=201, opt=LOGIN, security=ANYBODY, responses=answers(403, 404, 409, 422))
async def register(
    data: JSONBody[Registration], accounts: NamedDependency[Accounts], client: NamedDependency[Client]
) -> UserAnswer:
    """Make an account, and an organisation of its own; with an `invitation`, join another as well."""
    user = await accounts.register(
        email=data.email,
        password=data.password,
        full_name=data.full_name,
        invitation=data.invitation,
        client=client,
    )
    return user_answer(user, user.tenant_id)


@post("/login", status_code=200, opt=LOGIN, security=ANYBODY, responses=LOGGED_IN | answers(401, 403, 422))
async def login(
    data: JSONBody[Login],
    request: AnyRequest,
    accounts: NamedDependency[Accounts],
    *,
    browser_logins: NamedDependency[BrowserLogins],
    settings: NamedDependency[Settings],
    client: NamedDependency[Client],
) -> LoginAnswer:
    """Get tokens for an email address and a password."""
    if data.cookies:
        browser_logins.check_login(request.scope)
    logged_in = await accounts.log_in(email=data.email, password=data.password, client=client)
    if data.cookies:
        return cookies_answer(logged_in, settings, browser_logins)
    return Response(tokens_answer(logged_in, settings))


@post("/refresh", status_code=200, opt=LOGIN, security=ANYBODY, responses=LOGGED_IN | answers(401, 403, 422))
async def refresh(
    data: JSONBody[RefreshRequest],
    request: AnyRequest,
    accounts: NamedDependency[Accounts],
    *,
    browser_logins: NamedDependency[BrowserLogins],
    settings: NamedDependency[Settings],
    client: NamedDependency[Client],
) -> LoginAnswer:
    """Exchange a refresh token for new tokens. Each works once; one used twice ends the session."""
    if data.refresh_token is None:
        renewed = await browser_logins.refresh(request.scope, client)
        return cookies_answer(renewed, settings, browser_logins)
    return Response(tokens_answer(await accounts.refresh(data.refresh_token, client=client), settings))


@post(
    "/switch",
    status_code=200,
    guards=[session_only],
    security=SESSION_ONLY,
    responses=LOGGED_IN | answers(401, 403, 404, 422),
)
async def switch_organization(
    data: JSONBody[SwitchRequest],
    request: AnyRequest,
    caller: NamedDependency[Caller],
    *,
    accounts: NamedDependency[Accounts],
    browser_logins: NamedDependency[BrowserLogins],
    settings: NamedDependency[Settings],
    client: NamedDependency[Client],
) -> LoginAnswer:
    """Go on in another of the caller's organisations. The refresh token is spent.

    Its session acts there from now on: access tokens that it was given before do so within a second, too.
    """
    token = data.refresh_token
    if token is None:
        token = await browser_logins.spendable(request.scope)
    switched = await accounts.switch(
        caller, organization=data.organization, refresh_token=token, client=client
    )
    if data.refresh_token is None:
        return cookies_answer(switched, settings, browser_logins)
    return Response(tokens_answer(switched, settings))


@post("/logout", status_code=204, opt=PUBLIC, security=ANYBODY, responses=answers(401, 403, 422))
async def logout(
    data: JSONBody[RefreshRequest],
    request: AnyRequest,
    accounts: NamedDependency[Accounts],
    browser_logins: NamedDependency[BrowserLogins],
) -> Response[None]:
    """End the session that the refresh token belongs to. Its access tokens stop within a second."""
    if data.refresh_token is None:
        await browser_logins.log_out(request.scope)
        return Response(None, cookies=browser_logins.taken_back())
    await accounts.log_out(data.refresh_token)
    return Response(None)


@get("/me", status_code=200, opt=needs(by_model=True), responses=answers(401))
async def me(
    caller: NamedDependency[Caller],
    accounts: NamedDependency[Accounts],
    organizations: NamedDependency[Organizations],
) -> MeAnswer:
    """The caller's own account, and their organisations; by an API key, the one that it is for."""
    answer = user_answer(await accounts.user(caller), caller.tenant_id)
    if caller.key_id is not None and answer.home_organization_id != caller.tenant_id:
        answer = msgspec.structs.replace(answer, home_organization_id=None)
    return MeAnswer(organizations=await organizations.list_all(caller), **msgspec.structs.asdict(answer))


def user_answer(user: User, tenant_id: UUID) -> UserAnswer:
    """What a user is told of themselves: never the hash."""
    return UserAnswer(
        id=user.id,
        email=user.email,
        full_name=user.full_name,
        tenant_id=tenant_id,
        home_organization_id=user.tenant_id,
        created_at=user.created_at,
    )


def tokens_answer(logged_in: LoggedIn, settings: Settings) -> TokensAnswer:
    """The answer to a log-in, and to its renewal."""
    return TokensAnswer(
        access_token=logged_in.access_token,
        refresh_token=logged_in.refresh_token,
        expires_in=settings.access_token_ttl_s,
        user=user_answer(logged_in.user, logged_in.tenant_id),
    )


def cookies_answer(
    logged_in: LoggedIn, settings: Settings, browser_logins: BrowserLogins
) -> Response[CookiesAnswer]:
    """The same to a browser, whose pages are told no token but the one that proves that they are ours."""
    csrf_token = browser_logins.csrf_token(logged_in.session_id)
    answer = CookiesAnswer(
        csrf_token=csrf_token,
        expires_in=settings.access_token_ttl_s,
        user=user_answer(logged_in.user, logged_in.tenant_id),
    )
    return Response(answer, cookies=browser_logins.cookies(logged_in, csrf_token=csrf_token))


accounts_routes = Router(
    "/auth",
    route_handlers=[register, login, refresh, switch_organization, logout, me],
    opt=OWN_AFFAIRS,
    tags=["Accounts"],
)
