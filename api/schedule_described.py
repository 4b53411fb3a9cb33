"""How the OpenAPI document describes schedules as they are sent, which Litestar cannot see."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from api.job_request_described import submission_schema
from api.request_bodies_described import NAME, one_of, text
from shared.schedules.request import Overlap

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
        self.request_body = _body(required=["name", "job"], whens=1)


@dataclass
class ScheduleChangesBody(Operation):
    """The fields that shall be otherwise."""

    def __post_init__(self) -> None:
        self.request_body = _body(required=[], whens=0)


def _body(*, required: list[str], whens: int) -> RequestBody:
    """The body; `whens` is how many of `cron` and `run_at` it needs."""
    properties: dict[str, Schema] = {
        "name": text(
            "Letters, digits, `_ - .`; stands for the schedule in addresses.",
            example="nightly",
            pattern=NAME,
            most=100,
        ),
        "job": submission_schema(),
        "cron": text(
            "Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, …",
            example="30 2 * * *",
        ),
        "run_at": _time("Once, in place of `cron`.", example="2026-12-01T09:00:00Z"),
        "timezone": text("That `cron` is of; `UTC` if left out.", example="Europe/Berlin"),
        "enabled": Schema(type=OpenAPIType.BOOLEAN, description="`true` if left out."),
        "overlap": one_of(Overlap, "`skip` if left out."),
        "starts_at": _time("Not due before.", example="2026-12-01T00:00:00Z"),
        "ends_at": _time("Not due after.", example="2027-12-01T00:00:00Z"),
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties={**properties}, required=required or None)
    schema.additional_properties = False
    schema.one_of = [Schema(required=[when]) for when in ("cron", "run_at")] if whens else None
    schema.examples = [_EXAMPLE]
    return RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)


def _time(description: str, *, example: str) -> Schema:
    return Schema(
        type=OpenAPIType.STRING,
        format=OpenAPIFormat.DATE_TIME,
        description=f"{description} Where it names no zone, of `timezone`.",
        examples=[example],
    )
