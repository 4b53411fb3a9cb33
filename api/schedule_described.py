"""How the OpenAPI document describes schedules as they are sent, which Litestar cannot see."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from api.job_request_described import submission_schema
from api.request_bodies_described import text

_EXAMPLE = {
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "job": {"model": "iris_classifier", "input": {"url": "https://example.com/flowers/{date}.csv"}},
}


@dataclass
class NewScheduleBody(Operation):
    """A schedule that shall be."""

    def __post_init__(self) -> None:
        self.request_body = _body(required=["name", "job"])


@dataclass
class ScheduleChangesBody(Operation):
    """The fields that shall be otherwise."""

    def __post_init__(self) -> None:
        self.request_body = _body(required=[])


def _body(*, required: list[str]) -> RequestBody:
    properties: dict[str, Schema] = {
        "name": text("Letters, digits, `_ - .`; stands for the schedule in addresses.", example="nightly"),
        "job": submission_schema(),
        "cron": text(
            "Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, …",
            example="30 2 * * *",
        ),
        "run_at": text("Once, in place of `cron`.", example="2026-12-01T09:00:00Z"),
        "timezone": text("That `cron` is of; `UTC` if left out.", example="Europe/Berlin"),
        "enabled": Schema(type=OpenAPIType.BOOLEAN, description="`true` if left out."),
        "overlap": text("`skip` (the default) or `allow`.", example="allow"),
        "starts_at": text("Not due before.", example="2026-12-01T00:00:00Z"),
        "ends_at": text("Not due after.", example="2027-12-01T00:00:00Z"),
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties={**properties}, required=required or None)
    schema.examples = [_EXAMPLE]
    return RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)
