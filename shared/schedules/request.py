"""What a caller asks of a schedule."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from shared.catalog.naming import is_name
from shared.errors import InvalidInput
from shared.ids import parse_id
from shared.jobs.inputs import Input
from shared.jobs.json_request import JobRequest, placed_in_body, read_request
from shared.json_body import decode_json_as
from shared.schedules.errors import InvalidSchedule
from shared.schedules.placeholders import check_placeholders, shown_url
from shared.schedules.timing import Timing


class Overlap(StrEnum):
    """What becomes of a due time while an earlier job of the schedule has not ended."""

    SKIP = "skip"
    ALLOW = "allow"


class NewSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule that shall be. Job: the body of a submission, see `JobRequest`."""

    name: str
    job: msgspec.Raw
    cron: str | None = None
    run_at: datetime | None = None
    timezone: str = "UTC"
    enabled: bool = True
    overlap: Overlap = Overlap.SKIP
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def timing(self) -> Timing:
        """When it shall be due."""
        return Timing(
            cron=self.cron,
            run_at=self.run_at,
            timezone=self.timezone,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
        )


class ScheduleChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is unset stays. A `cron` takes the place of `run_at`, and back."""

    name: str | UnsetType = UNSET
    job: msgspec.Raw | UnsetType = UNSET
    cron: str | UnsetType | None = UNSET
    run_at: datetime | UnsetType | None = UNSET
    timezone: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    starts_at: datetime | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET

    def given(self) -> dict[str, Any]:
        """The fields that were sent."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not UNSET}

    def timing(self, present: Timing) -> Timing | None:
        """When it shall be due; None: nothing is said of that."""
        given = {name: value for name, value in self.given().items() if name in Timing.__struct_fields__}
        if "cron" in given and "run_at" not in given:
            given["run_at"] = None
        elif "run_at" in given and "cron" not in given:
            given["cron"] = None
        return replace(present, **given) if given else None


class ScheduledJob(msgspec.Struct, frozen=True):
    """The submission of a schedule: as it was sent, and read."""

    content: bytes
    request: JobRequest

    def shown(self) -> dict[str, Any]:
        """What its owner sees of it: no secrets of an address, and how many rows in place of these."""
        given = self.request.input
        url = None if given.url is None else shown_url(given.url)
        shown: dict[str, Any] = msgspec.to_builtins(replace(self.request, input=Input(url=url)))
        return shown if given.rows is None else shown | {"input": {"rows_total": len(given.rows)}}


_new_schedule = msgspec.json.Decoder(NewSchedule)
_changes = msgspec.json.Decoder(ScheduleChanges)


def read_new_schedule(body: bytes) -> NewSchedule:
    """The schedule that a body asks for.

    Raises:
        MalformedJson: it is not JSON.
        InvalidInput: it does not fit; names fields that there are not, and where.
    """
    return decode_json_as(_new_schedule, body)


def read_changes(body: bytes) -> ScheduleChanges:
    """The changes that a body asks for.

    Raises:
        MalformedJson: it is not JSON.
        InvalidInput: it does not fit; names fields that there are not, and where.
    """
    return decode_json_as(_changes, body)


def read_name(name: str) -> str:
    """The name, if a schedule can have it.

    Raises:
        InvalidSchedule: it has other characters, or could be taken for an id or for a step in a path.
    """
    if not is_name(name) or parse_id(name) is not None or not name.strip("."):
        raise InvalidSchedule(
            "name", "use 1 to 100 letters, digits, and any of _ - . that are no id, and not dots alone"
        )
    return name


def read_job(content: bytes) -> ScheduledJob:
    """The job that a schedule is to submit.

    Raises:
        InvalidInput: it does not fit, or its input cannot be read again and again.
    """
    with placed_in_job():
        request = read_request(content)
    if request.input.upload_id is not None:
        why = "uploads expire, and a schedule reads its input every time: use `url` or `rows`"
        raise InvalidSchedule("upload_id", why, pointer="/job/input/upload_id")
    if request.input.url is not None:
        check_placeholders(request.input.url)
    return ScheduledJob(content, request)


@contextmanager
def placed_in_job() -> Iterator[None]:
    """Tell of what does not fit where it stands in the body of a schedule."""
    try:
        with placed_in_body():
            yield
    except InvalidInput as error:
        error.errors = tuple(replace(fault, pointer=f"/job{fault.pointer or ''}") for fault in error.errors)
        raise
