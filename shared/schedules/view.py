"""A schedule as its owner sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.job import JobStatus
from shared.jobs.tables import JobRow
from shared.schedules.request import Overlap
from shared.schedules.tables import ScheduleRow


class RunError(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing was submitted the last time. Code: as of a refused submission, or `still_running`."""

    code: str
    message: str
    due_at: datetime


class LastJob(msgspec.Struct, frozen=True):
    """The job that was submitted last."""

    id: UUID
    status: JobStatus


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """When a job is submitted, and what came of it last. One of `cron` and `run_at` is null.

    Attributes:
        next_run_at: null if it is disabled, or never due again.
        last_job: null before the first, and once the job was removed.
        job: what is submitted, without the secrets of an address; of rows only how many there are.
    """

    id: UUID
    name: str
    cron: str | None
    run_at: datetime | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    enabled: bool
    overlap: Overlap
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_job: LastJob | None
    last_error: RunError | None
    created_at: datetime
    job: dict[str, Any]


_AS_THEY_ARE = (
    "id",
    "name",
    "cron",
    "run_at",
    "timezone",
    "starts_at",
    "ends_at",
    "enabled",
    "next_run_at",
    "last_run_at",
    "created_at",
)


async def schedule_views(session: AsyncSession, rows: Sequence[ScheduleRow]) -> list[ScheduleView]:
    """What the owner sees of each."""
    ids = [row.last_job_id for row in rows if row.last_job_id is not None]
    query = select(JobRow.id, JobRow.status).where(JobRow.id.in_(ids), JobRow.deleted_at.is_(None))
    jobs = {job_id: LastJob(job_id, JobStatus(status)) for job_id, status in await session.execute(query)}
    return [_view(row, jobs.get(row.last_job_id) if row.last_job_id else None) for row in rows]


def _view(row: ScheduleRow, last_job: LastJob | None) -> ScheduleView:
    return ScheduleView(
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
        overlap=Overlap(row.overlap),
        last_job=last_job,
        last_error=msgspec.convert(row.last_error, RunError) if row.last_error else None,
        job=row.job_shown,
    )
