"""The HTTP side on one screen: routes, what handlers are handed, the layers around them."""

from typing import Any

from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware

from api.allowed_methods import tell_all_methods
from api.auth import Authentication, caller_of, client_of
from api.client_address import trusted_networks
from api.cookie_door import CookieDoor
from api.gate import Gate
from api.head_answers import answer_head
from api.lifespan import lifespan
from api.login_door import LoginDoor
from api.openapi import openapi_config
from api.openapi_document import OpenApiDocument
from api.pages.docs import pages_routes
from api.parameter_words import refuse_odd_words
from api.permissions import undeclared
from api.predict_described import DescribedApp
from api.predict_route import PredictRoute
from api.problems import answer_problem
from api.rate_limit import LIMITED_BY_METHOD, RateLimiting
from api.request_body import JsonRequest
from api.request_context import RequestContext
from api.routes.accounts import accounts_routes
from api.routes.analytics import analytics_routes
from api.routes.api_keys import api_keys_routes
from api.routes.audit_log import audit_log_routes
from api.routes.catalog import catalog_routes
from api.routes.deliveries import deliveries_routes
from api.routes.health import health_routes
from api.routes.invitations import accepting_routes, invitations_routes
from api.routes.job_routes import jobs_routes
from api.routes.metrics import metrics_routes
from api.routes.oidc import oidc_routes
from api.routes.organizations import organization_routes, organizations_routes
from api.routes.own_account import own_account_routes
from api.routes.predict_later import predict_later_routes
from api.routes.schedules import schedules_routes
from api.routes.sessions import sessions_routes
from api.routes.uploads import uploads_routes
from api.routes.usage import usage_routes
from api.routes.webhooks import webhooks_routes
from api.struct_schemas import StructSchemas
from shared.access.tokens import AccessTokens
from shared.jobs.input_buckets import check_places
from shared.settings import MIB, Settings

JSON_MAX_BYTES = MIB  # of a body, where the route says nothing else

# What a handler gets by asking for it by name; api/lifespan.py puts it there.
RESOURCES = (
    "accounts",
    "api_keys",
    "browser_logins",
    "catalog",
    "database",
    "event_streams",
    "invitations",
    "job_news",
    "members",
    "messenger",
    "metrics",
    "oidc",
    "organizations",
    "own_account",
    "password_resets",
    "predictor",
    "promotions",
    "readiness",
    "schedules",
    "sessions",
    "storage",
    "uploads",
)

API_ROUTES = (
    accepting_routes,
    accounts_routes,
    api_keys_routes,
    audit_log_routes,
    catalog_routes,
    analytics_routes,
    deliveries_routes,
    invitations_routes,
    jobs_routes,
    oidc_routes,
    organization_routes,
    organizations_routes,
    own_account_routes,
    predict_later_routes,
    schedules_routes,
    sessions_routes,
    uploads_routes,
    usage_routes,
    webhooks_routes,
)


def create_app(settings: Settings) -> Litestar:
    """The application. It opens nothing before its lifespan begins."""
    check_places(settings)
    tokens = AccessTokens(
        settings.secret_key, ttl_s=settings.access_token_ttl_s, previous=settings.secret_key_previous
    )
    trusted = trusted_networks(settings.trusted_proxies)
    door = CookieDoor(settings)
    app = DescribedApp(
        route_handlers=[
            pages_routes,
            health_routes,
            metrics_routes,
            Router("/api/v1", route_handlers=API_ROUTES, opt=LIMITED_BY_METHOD),
        ],
        middleware=[
            DefineMiddleware(Authentication, trusted=trusted),
            DefineMiddleware(RateLimiting, settings=settings, trusted=trusted),
        ],
        dependencies=_dependencies(settings),
        guards=[refuse_odd_words],
        exception_handlers={Exception: answer_problem},
        lifespan=[lifespan(settings, tokens)],
        openapi_config=openapi_config(session_cookie=door.cookies.session),
        plugins=[StructSchemas()],
        request_class=JsonRequest,
        request_max_body_size=JSON_MAX_BYTES,
        logging_config=None,
    )
    app.state.cookie_door = door
    answer_head(app)
    tell_all_methods(app)
    if gaps := undeclared(app):
        raise ValueError(f"routes that say neither that they are public nor what they take: {gaps}")
    # Litestar's own middleware sees only requests that found a route; an id and a log line are for all.
    predict = PredictRoute(RequestContext(app.asgi_handler), settings, door)
    app.state.predict_route = predict
    app.state.openapi_document = OpenApiDocument(lambda: app.openapi_schema)
    app.state.gate = Gate(LoginDoor(predict, app.state, trusted), settings)
    app.asgi_handler = app.state.gate
    return app


def _dependencies(settings: Settings) -> dict[str, Provide]:
    return {
        "settings": Provide(lambda: settings, sync_to_thread=False),
        "caller": Provide(caller_of, sync_to_thread=False),
        "client": Provide(client_of, sync_to_thread=False),
        **{name: _resource(name) for name in RESOURCES},
    }


def _resource(name: str) -> Provide:
    def provide(request: Request[Any, Any, Any]) -> Any:
        return getattr(request.app.state, name)

    return Provide(provide, sync_to_thread=False)
