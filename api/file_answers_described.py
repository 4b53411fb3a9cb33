"""How the OpenAPI document describes answers that are files and streams, which Litestar cannot see."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Schema

from api.errors_format import ERRORS_MEDIA_TYPES
from api.event_streams import MEDIA_TYPE as EVENTS
from api.openapi import answer
from api.predict_answer import PredictResponse
from shared.jobs.result import MEDIA_TYPES

_BYTES: Final = Schema(type=OpenAPIType.STRING)
_EVENT: Final = Schema(
    type=OpenAPIType.OBJECT,
    properties={name: Schema(type=OpenAPIType.STRING) for name in ("id", "event", "data")},
    description="Each event; `data` is the job as JSON.",
)

# For a route's `responses`.
UNCHANGED: Final = {304: answer(None, "It is as `If-None-Match` has it.")}
ELSEWHERE: Final = {307: answer(None, "`Location` is a link into the bucket.")}
IN_ONE_PIECE: Final = {200: answer(PredictResponse, "Everything, in one of the forms.")}
SEEN_TO_THE_END: Final = {204: answer(None, "The client has seen the end.")}


@dataclass
class ResultFile(Operation):
    """A result: a file, or some bytes of it, or JSON."""

    def __post_init__(self) -> None:
        _describe_file(self, MEDIA_TYPES.values())


@dataclass
class ErrorsFile(Operation):
    """The rows that were left out: a file, or some bytes of it."""

    def __post_init__(self) -> None:
        _content(self, "200").clear()
        _describe_file(self, ERRORS_MEDIA_TYPES.values())


@dataclass
class Events(Operation):
    """Server-sent events."""

    def __post_init__(self) -> None:
        content = _content(self, "200")
        content.clear()
        content[EVENTS] = OpenAPIMediaType(schema=_EVENT)


def _describe_file(operation: Operation, media_types: Iterable[str]) -> None:
    names = sorted({name.partition(";")[0] for name in media_types})
    content = {name: OpenAPIMediaType(schema=_BYTES) for name in names}
    _content(operation, "200").update(content)
    assert operation.responses is not None  # noqa: S101  narrows the type: `_content` has seen to it
    operation.responses["206"] = OpenAPIResponse(description="The bytes that `Range` names.", content=content)


def _content(operation: Operation, status: str) -> dict[str, OpenAPIMediaType]:
    """What an answer may hold, to be changed."""
    answer = (operation.responses or {})[status]
    if not isinstance(answer, OpenAPIResponse):
        raise TypeError(f"{operation.operation_id} describes its {status} elsewhere")
    answer.content = answer.content or {}
    return answer.content
