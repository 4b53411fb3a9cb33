"""Logging in at a provider of OpenID Connect."""

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, QueryParameter
from litestar.response import Redirect

from api.browser_logins import BrowserLogins
from api.head_answers import WITHOUT_HEAD
from api.openapi import ANYBODY, SESSION_ONLY, answer, answers
from api.permissions import OWN_AFFAIRS
from api.rate_limit import LIMITED_AS_LOGIN
from api.routes.accounts import LOGIN, Token, TokensAnswer, cookies_answer, tokens_answer
from api.session_only import session_only
from shared.access.accounts import Accounts
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.oidc.logins import LinkNeeded, OidcLogins, Returned
from shared.settings import Settings

_COOKIE: Final = "modelyard_oidc"
_GOES_ON_AT: Final = "/"  # nobody says where, so that nobody can send people elsewhere

State = Annotated[str | None, QueryParameter(name="state", max_length=200, description="Which log-in it is.")]
Code = Annotated[
    str | None, QueryParameter(max_length=4000, description="What the provider gives tokens for.")
]
Refusal = Annotated[
    str | None, QueryParameter(max_length=2000, description="Why the provider gives no code.")
]
ByCookies = Annotated[
    bool,
    QueryParameter(
        name="cookies",
        description="For pages of this platform: the tokens come as cookies, and the browser goes on to `/`.",
    ),
]
Issuer = Annotated[str | None, QueryParameter(max_length=2000, description="Which provider it is.")]


class LinkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token that a log-in at the provider was answered with."""

    link_token: Token


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The log-in is not complete, as an account has the address.

    Log in to it, and send `link_token` to `auth/oidc/link`: it is good once, for `expires_in` seconds.
    """

    code: Literal["link_needed"] = "link_needed"
    detail: str
    email: str
    link_token: str
    expires_in: int


def _returned(
    request: Request[Any, Any, Any],
    settings: NamedDependency[Settings],
    *,
    login: State = None,  # by the name of `state` Litestar hands out its own
    code: Code = None,
    error: Refusal = None,
    error_description: Refusal = None,
    iss: Issuer = None,
) -> Returned:
    """What the browser brought."""
    return Returned(
        cookie=request.cookies.get(_cookie_name(settings)),
        state=login,
        code=code,
        error=error,
        error_description=error_description,
        issuer=iss,
    )


@get("/", status_code=302, opt=LOGIN, security=ANYBODY, responses=answers(404, 503))
async def log_in_at_provider(
    oidc: NamedDependency[OidcLogins], settings: NamedDependency[Settings], *, by_cookies: ByCookies = False
) -> Redirect:
    """Begin a log-in in the browser: it is sent to the provider, and comes back to `auth/oidc/callback`."""
    begun = await oidc.begin(cookies=by_cookies)
    return Redirect(begun.url, cookies=[_cookie(settings, begun.cookie, lasts_s=begun.lasts_s)])


@get(
    "/callback",
    status_code=200,
    opt=LOGIN | WITHOUT_HEAD,  # a code works once
    dependencies={"returned": Provide(_returned, sync_to_thread=False)},
    security=ANYBODY,
    responses={
        200: answer(TokensAnswer, "Logged in."),
        202: answer(LinkAnswer, "An account has the address: link it."),
        303: answer(None, "Logged in by cookies, which are set; `Location` is `/`."),
        **answers(401, 403, 404, 503),
    },
)
async def come_back_from_provider(
    returned: NamedDependency[Returned],
    oidc: NamedDependency[OidcLogins],
    accounts: NamedDependency[Accounts],
    *,
    browser_logins: NamedDependency[BrowserLogins],
    settings: NamedDependency[Settings],
    client: NamedDependency[Client],
) -> Response[TokensAnswer] | Response[LinkAnswer] | Redirect:
    """Finish the log-in that this browser began; the provider sends it here. Answers as `auth/login` does."""
    ended = [_cookie(settings, "", lasts_s=0)]
    found = await oidc.finish(returned)
    if isinstance(found, LinkNeeded):
        return Response(_link_answer(found), status_code=202, cookies=ended)
    logged_in = await accounts.begin(found.user_id, client=client, method="oidc")
    if found.cookies:
        cookies = cookies_answer(logged_in, settings, browser_logins).cookies
        return Redirect(_GOES_ON_AT, status_code=303, cookies=[*ended, *cookies])
    return Response(tokens_answer(logged_in, settings), cookies=ended)


@post(
    "/link",
    status_code=204,
    opt=LIMITED_AS_LOGIN,
    guards=[session_only],
    security=SESSION_ONLY,
    responses=answers(401, 403, 404),
)
async def link_identity(
    data: JSONBody[LinkRequest], caller: NamedDependency[Caller], oidc: NamedDependency[OidcLogins]
) -> None:
    """Say that whoever logged in at the provider is the caller: from now on they log in to this account."""
    await oidc.link(caller, data.link_token)


def _link_answer(needed: LinkNeeded) -> LinkAnswer:
    return LinkAnswer(
        detail="an account has this email address: log in to it with its password (set "
        "another by mail if you have none), and send the link token to auth/oidc/link",
        email=needed.email,
        link_token=needed.token,
        expires_in=needed.lasts_s,
    )


def _cookie(settings: Settings, value: str, *, lasts_s: int) -> Cookie:
    """For this host alone, and only for as long as the browser is away. Lax: it comes back by a link."""
    return Cookie(
        key=_cookie_name(settings),
        value=value,
        max_age=lasts_s,
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )


def _cookie_name(settings: Settings) -> str:
    """With the prefix, browsers take it from nobody but this very host, over HTTPS (RFC 6265bis)."""
    return f"__Host-{_COOKIE}" if _is_secure(settings) else _COOKIE


def _is_secure(settings: Settings) -> bool:
    return settings.public_url.startswith("https:")


oidc_routes = Router(
    "/auth/oidc",
    route_handlers=[log_in_at_provider, come_back_from_provider, link_identity],
    opt=OWN_AFFAIRS,
    tags=["Accounts"],
)
