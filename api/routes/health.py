"""Health: is the process alive, and can it answer?"""

from litestar import Response, Router, get
from litestar.di import NamedDependency

from api.auth import PUBLIC
from api.openapi import ANYBODY, answer
from api.readiness import Health, Readiness
from api.request_context import QUIET


@get("/livez", status_code=200)
async def livez() -> dict[str, bool]:
    """The process runs. Restart it if this does not answer."""
    return {"live": True}


@get("/readyz", status_code=200, responses={503: answer(Health, "Not ready.")})
async def readyz(readiness: NamedDependency[Readiness]) -> Response[Health]:
    """Requests can be answered; 503 says which check failed, or that the process is about to stop."""
    health = await readiness.check()
    return Response(health, status_code=200 if health.ready else 503)


health_routes = Router(
    "/", route_handlers=[livez, readyz], tags=["Health"], opt={**PUBLIC, **QUIET}, security=ANYBODY
)
