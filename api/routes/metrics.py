"""Metrics of the whole platform, for Prometheus."""

import asyncio
from hmac import compare_digest
from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from api.auth import PUBLIC
from api.openapi import ANYBODY, answers
from api.presented_token import token_of
from api.request_context import QUIET
from shared.errors import Unauthenticated
from shared.metrics.exchange import Everything, Exchange
from shared.metrics.exposition import MEDIA_TYPE, exposition
from shared.metrics.totals import totals
from shared.settings import Settings


class WrongMetricsToken(Unauthenticated):
    """The token is not the one that the operator set for /metrics."""

    code = "wrong_metrics_token"


@get("/metrics", status_code=200, media_type=MEDIA_TYPE, responses=answers(401, 503))
async def get_metrics(
    request: Request[Any, Any, Any], settings: NamedDependency[Settings], metrics: NamedDependency[Exchange]
) -> Response[str]:
    """What all processes of the platform have counted, in the text format of Prometheus.

    Ask any API process: the answer is the same. If the operator set `METRICS_TOKEN`, it has to be sent as
    `Authorization: Bearer …`.
    """
    if settings.metrics_token:
        _check_token(token_of(request.scope["headers"]), settings.metrics_token)
    text = await asyncio.to_thread(_text, await metrics.read())
    return Response(text, media_type=MEDIA_TYPE)


def _check_token(given: bytes, wanted: str) -> None:
    if not compare_digest(given, wanted.encode()):
        raise WrongMetricsToken("this is not the token of the metrics")


def _text(everything: Everything) -> str:
    return exposition(totals(everything))


metrics_routes = Router(
    "/", route_handlers=[get_metrics], tags=["Health"], opt={**PUBLIC, **QUIET}, security=ANYBODY
)
