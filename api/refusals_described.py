"""How the OpenAPI document describes what routes of a kind refuse, so that none has to say it of itself."""

from typing import Final

from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, OpenAPIResponse, Operation, Reference

from api.openapi import ANYBODY, PROBLEM_TEXTS
from api.openapi_mended import operations_of
from api.problems import PROBLEM_JSON, Problem
from api.struct_schemas import REFERENCE

_OF_ALL: Final = (400, 414, 422, 429, 503)
_OF_CALLERS: Final = (401, 403)  # where the caller must be known
_OF_BODIES: Final = (413,)


def add_refusals(document: OpenAPI) -> None:
    """Give every route of the API the refusals of its kind that it has not described itself."""
    for path, item in (document.paths or {}).items():
        if not path.startswith("/api/"):
            continue  # what load balancers and supervisors ask is neither limited nor refused
        for operation in operations_of(item):
            said = {int(status): answer for status, answer in (operation.responses or {}).items()}
            refused = {status: problem_described(status) for status in _refusals(operation)}
            operation.responses = {str(status): answer for status, answer in sorted((refused | said).items())}


def problem_described(status: int) -> OpenAPIResponse:
    """A problem of this status."""
    content = {PROBLEM_JSON: OpenAPIMediaType(schema=Reference(ref=REFERENCE.format(name=Problem.__name__)))}
    return OpenAPIResponse(description=PROBLEM_TEXTS[status], content=content)


def _refusals(operation: Operation) -> tuple[int, ...]:
    callers = () if operation.security == ANYBODY else _OF_CALLERS
    bodies = () if operation.request_body is None else _OF_BODIES
    return (*_OF_ALL, *callers, *bodies)
