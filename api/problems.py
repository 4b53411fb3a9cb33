"""Every error as problem details (RFC 9457). The only place that knows status codes.

`error` repeats `detail` for clients of the Open Inference Protocol, which look there.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import UNSET, UnsetType
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import wire_errors
from shared import errors
from shared.errors import FieldError, PlatformError
from shared.json_body import field_error
from shared.quotas.quota import QuotaUse

log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_OUTAGE_S = 2

_STATUS: Mapping[type[BaseException], int] = {
    errors.MalformedRequest: 400,
    errors.InvalidInput: 422,
    errors.Unauthenticated: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.NotAcceptable: 406,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UnsupportedFormat: 415,
    wire_errors.RequestTooSlow: 408,
    wire_errors.TargetTooLong: 414,
    wire_errors.HostNotAllowed: 421,
    wire_errors.HeadTooLarge: 431,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.DeadlineExceeded: 504,
    errors.CallerError: 400,
    errors.TransientError: 503,
    errors.PlatformError: 500,
}

# What the framework answers by itself, in our words: clients match on the code.
_CODES: Mapping[int, str] = {
    400: "malformed_request",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_format",
}

# What the framework says where it says no more than the status, in words that tell what to do.
_DETAILS: Mapping[str, str] = {
    "Not Found": "there is no such address; /docs shows those that there are",
    "Method Not Allowed": "the address does not take this method; `Allow` names those that it takes",
}

_NO_BODY = "Object missing required field `data`"  # how Litestar says that a body is needed

# SQLSTATE codes: something refers to what goes, or what is referred to is gone; a value is taken.
_CONFLICTS = {"23001", "23503", "23505"}
_OUTAGE_STATES = ("08", "53", "57P")  # not reachable, full, or starting and stopping
_DATA_EXCEPTION = "22"  # the class of codes for values that PostgreSQL cannot take

# A server that is away comes back: clients should too.
_OUTAGES = (RedisConnectionError, RedisTimeoutError, PoolTimeoutError, ConnectionError, TimeoutError)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457).

    Attributes:
        title: the status in words.
        detail: what went wrong this time, for people.
        instance: the path of the request.
        code: stable, snake_case: match on it, never on a text.
        error: the same as `detail`, for clients of the Open Inference Protocol.
        request_id: the `X-Request-Id` of this answer; the logs carry it too.
        errors: what is wrong with the input, and where.
        quota: that is used up, where one is.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    error: str
    instance: str
    request_id: str
    errors: list[FieldError] = []
    quota: QuotaUse | UnsetType = UNSET


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an error comes to, before it is written as an answer."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = {}
    quota: QuotaUse | UnsetType = UNSET


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The exception handler of the framework's routes."""
    found = finding(request, error)
    state = request.scope["state"]
    problem = _problem(found, error, path=state["path"], request_id=state.get("request_id", ""))
    return Response(problem, status_code=found.status, media_type=PROBLEM_JSON, headers=dict(found.headers))


def problem_answer(
    error: Exception, *, path: str, request_id: str
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body, for a route outside the framework."""
    found = finding(None, error)
    body = msgspec.json.encode(_problem(found, error, path=path, request_id=request_id))
    headers = [(b"content-type", PROBLEM_JSON.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in found.headers.items()]
    return found.status, headers, body


def is_business_as_usual(error: Exception) -> bool:
    """Whether it is a refusal of ours, of which a line is logged for whoever debugs alone."""
    return isinstance(error, errors.TransientError) and not logging.root.isEnabledFor(logging.DEBUG)


def _problem(found: Finding, error: Exception, *, path: str, request_id: str) -> Problem:
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Refusals of ours (503, 504) are business as usual; whatever else ends here is not.
        ours = isinstance(error, errors.TransientError)
        level = logging.DEBUG if ours else logging.ERROR
        if logging.root.isEnabledFor(level):  # structlog would put the line together first
            log.log(level, "request failed", code=found.code, exc_info=None if ours else error)
    return Problem(
        status=found.status,
        title=HTTPStatus(found.status).phrase,
        detail=found.detail,
        code=found.code,
        error=found.detail,
        instance=path,
        request_id=request_id,
        errors=list(found.errors),
        quota=found.quota,
    )


def finding(request: Request[Any, Any, Any] | None, error: Exception) -> Finding:
    """The status, code and text for an error of any origin; the request is None outside the framework."""
    if isinstance(error, PlatformError):
        return _of_platform(error)
    if isinstance(error, ValidationException):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return _of_framework(request, error)
    if isinstance(error, DBAPIError):
        return _of_database(error)
    if isinstance(error, _OUTAGES):
        return _outage()
    return _unexpected()


def _of_platform(error: PlatformError) -> Finding:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        # Its text is for whoever runs the platform, and may name servers and paths.
        return Finding(status=500, code=error.code, detail="the platform has a problem; it was logged")
    return Finding(
        status=status,
        code=error.code,
        detail=str(error) or (type(error).__doc__ or "").partition("\n")[0],
        errors=getattr(error, "errors", ()),
        headers=_headers(error),
        quota=getattr(error, "quota", UNSET),
    )


def _headers(error: PlatformError) -> dict[str, str]:
    if isinstance(error, errors.Unauthenticated):
        challenge = f'Bearer realm="modelyard", error="{_bearer_error(error)}"'
        return {"WWW-Authenticate": challenge, **error.headers}
    if isinstance(error, errors.RateLimited):
        return {"Retry-After": str(error.retry_after_s), **error.headers}
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.TransientError) and not isinstance(error, errors.DeadlineExceeded):
        return {"Retry-After": "1"}
    return dict(getattr(error, "headers", {}))


def _bearer_error(error: errors.Unauthenticated) -> str:
    """The code of RFC 6750, section 3.1."""
    return "invalid_request" if type(error) is errors.Unauthenticated else "invalid_token"


def _of_validation(error: ValidationException) -> Finding:
    """Litestar raises it from the error of msgspec: of a parameter, as bodies are read by JsonRequest."""
    cause = error.__cause__
    if not isinstance(cause, msgspec.ValidationError):
        return Finding(status=422, code="invalid_input", detail=error.detail)
    found = field_error(cause)
    if found.message == _NO_BODY:
        return Finding(status=400, code="malformed_json", detail="the body is empty; a JSON object is needed")
    name = (found.pointer or "").removeprefix("/").partition("/")[0]
    detail = f"the parameter {name} does not fit: {found.message}"
    return Finding(status=422, code="invalid_input", detail=detail)


def _of_framework(request: Request[Any, Any, Any] | None, error: HTTPException) -> Finding:
    if isinstance(error, RequestEntityTooLarge) and request is not None:
        limit = request.route_handler.resolve_request_max_body_size()
        detail = f"the body has more than the {limit} bytes that are allowed here"
        return Finding(status=413, code="too_large", detail=detail)
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected()
    return Finding(
        status=error.status_code,
        code=_CODES.get(error.status_code, "caller_error"),
        detail=_DETAILS.get(error.detail, error.detail),
        headers=error.headers or {},
    )


def _of_database(error: DBAPIError) -> Finding:
    state = str(getattr(error.orig, "sqlstate", ""))
    if state in _CONFLICTS:
        return Finding(status=409, code="conflict", detail="this conflicts with what is there; look again")
    if state.startswith(_DATA_EXCEPTION):
        return Finding(status=422, code="invalid_input", detail="a value in the request cannot be stored")
    is_away = error.connection_invalidated or state.startswith(_OUTAGE_STATES)
    return _outage() if is_away else _unexpected()


def _unexpected() -> Finding:
    return Finding(status=500, code="internal_error", detail="something went wrong here; it was logged")


def _outage() -> Finding:
    return Finding(
        status=503,
        code="unavailable",
        detail="a server that the platform needs does not answer; try again",
        headers={"Retry-After": str(RETRY_AFTER_OUTAGE_S)},
    )
