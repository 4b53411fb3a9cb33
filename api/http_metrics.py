"""How many requests each route answered, with which status, and how long it took."""

from typing import Final

from shared.metrics.registry import counter, histogram

UNKNOWN_ROUTE: Final = "unknown"  # for a request that no route was found for; its path has no bound

_requests = counter(
    "modelyard_http_requests_total",
    "HTTP requests by route and status; those of predictions are counted for themselves.",
    labels=("route", "status"),
    open_labels=1,
)
_seconds = histogram(
    "modelyard_http_request_seconds", "How long the answer took, until its last byte.", labels=("route",)
)


def observe_http(route: str, status: int, seconds: float) -> None:
    """Count an answer.

    Args:
        route: the route's template (`/api/v1/jobs/{job:str}`), never the path; or UNKNOWN_ROUTE.
        status: of the answer; 0 if it never began.
        seconds: from the request to the end of the answer.
    """
    _requests.inc(labels=(route, str(status)))
    _seconds.observe(seconds, labels=(route,))
