"""Lets no caller send more than its limits allow, and tells everybody how theirs stand.

A route says in its `opt`, or its router's, which limits it counts against; one that says nothing is not
limited. Plain ASGI routes count by themselves. The headers are those of
draft-ietf-httpapi-ratelimit-headers-10.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.client_address import Network, client_address
from shared.errors import RateLimited
from shared.limits.decision import Decision, whole_seconds
from shared.limits.limiter import RateLimiter
from shared.limits.policy import Limit, RouteClass, limits_for
from shared.quotas.errors import PredictionsQuotaExceeded
from shared.settings import Settings

_OPT = "rate_limit"

# For the `opt` of a router or a handler; the handler's counts.
LIMITED_BY_METHOD: Final = {_OPT: "method"}  # reading is GET and HEAD, the rest is writing
LIMITED_AS_LOGIN: Final = {_OPT: RouteClass.LOGIN}
LIMITED_AS_UPLOAD: Final = {_OPT: RouteClass.UPLOAD}
UNLIMITED: Final = {_OPT: None}


class RateLimiting:
    """Middleware, after authentication."""

    def __init__(self, app: ASGIApp, settings: Settings, trusted: Sequence[Network]) -> None:
        self.app = app
        self._settings, self._trusted = settings, trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through if its limits allow."""
        route_class = _route_class(scope)
        if route_class is None:
            await self.app(scope, receive, send)
            return
        decision = await self._decide(route_class, scope, receive)
        if not decision.allowed:
            raise refusal(decision)
        await self.app(scope, receive, _with_headers(send, limit_headers(decision)))

    async def _decide(self, route_class: str, scope: Scope, receive: Receive) -> Decision:
        limiter: RateLimiter = scope["litestar_app"].state.rate_limiter
        limits = await self._limits(route_class, scope, receive)
        return await limiter.take(limits, fail_closed=route_class == RouteClass.LOGIN)

    async def _limits(self, route_class: str, scope: Scope, receive: Receive) -> tuple[Limit, ...]:
        return limits_for(
            self._settings,
            route_class,
            caller=scope["state"].get("caller"),
            client_ip=client_address(scope, self._trusted),
            account=await _account(scope, receive) if route_class == RouteClass.LOGIN else "",
        )


def limit_headers(decision: Decision) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy` and `RateLimit`, one item for each limit; none where nothing was counted.

    `t` is when the limit is full again; of a refused request, when it would pass.
    """
    if not decision.standings:
        return []
    policy = ", ".join(f'"{s.limit.name}";q={s.limit.burst};w={s.limit.window_s}' for s in decision.standings)
    now = ", ".join(
        f'"{s.limit.name}";r={s.remaining};t={decision.retry_after_s or whole_seconds(s.reset_us)}'
        for s in decision.standings
    )
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]


def refusal(decision: Decision) -> RateLimited:
    """The error that tells the caller of a request that was not let through."""
    limit = min(decision.standings, key=lambda s: (s.remaining, not s.limit.is_of_day)).limit
    told = {name.decode(): value.decode() for name, value in limit_headers(decision)}
    if limit.is_of_day:
        return PredictionsQuotaExceeded(limit.burst, retry_after_s=decision.retry_after_s, headers=told)
    return RateLimited(
        f"more than {limit.burst} requests in {limit.window_s} s of the kind '{limit.name}':"
        f" come back in {decision.retry_after_s} s",
        retry_after_s=decision.retry_after_s,
        headers=told,
    )


def _route_class(scope: Scope) -> str | None:
    handler: Any = scope["route_handler"]
    if not isinstance(handler, HTTPRouteHandler):
        return None
    named: str | None = handler.opt.get(_OPT)
    if named != LIMITED_BY_METHOD[_OPT]:
        return named
    return RouteClass.READ if handler.http_methods <= {"GET", "HEAD"} else RouteClass.WRITE


class _Login(msgspec.Struct):
    email: str = ""


_read_login = msgspec.json.Decoder(_Login).decode


async def _account(scope: Scope, receive: Receive) -> str:
    """Who wants to log in or register; empty where the body does not say: the handler refuses it."""
    # Litestar keeps the body with the scope: the handler reads the same bytes again.
    body = await Request[Any, Any, Any](scope, receive).body()
    try:
        return _read_login(body).email
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers if headers else send
