"""Finding schedules."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, String, cast, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from shared.access.grants import granted_models, is_granted
from shared.catalog.naming import is_name
from shared.catalog.tables import ModelRow
from shared.ids import parse_id
from shared.jobs.tables import JobRow
from shared.schedules.errors import ScheduleNotFound
from shared.schedules.tables import ScheduleRow
from shared.schedules.timing import Timing

MAX_DUE = 100  # schedules that one look finds


def schedules_of(tenant_id: UUID) -> Select[ScheduleRow]:
    """All of one tenant whose jobs are of a model granted to whoever acts."""
    query = select(ScheduleRow).where(ScheduleRow.tenant_id == tenant_id)
    granted = granted_models()
    if granted is None:
        return query
    model = ScheduleRow.job_shown["model"].astext
    is_of_it = or_(ModelRow.name == model, cast(ModelRow.id, String) == model)
    return query.where(
        exists().where(ModelRow.tenant_id == tenant_id, is_granted(ModelRow.id, granted), is_of_it)
    )


async def find_schedule(
    session: AsyncSession, tenant_id: UUID, schedule: str, *, lock: bool = False, with_job: bool = False
) -> ScheduleRow:
    """The tenant's schedule of that id or name.

    Args:
        with_job: read what it submits, too.

    Raises:
        ScheduleNotFound: there is none, or it is another tenant's.
    """
    schedule_id = parse_id(schedule)
    if schedule_id is None and not is_name(schedule):  # PostgreSQL cannot even be asked for a NUL
        raise ScheduleNotFound(schedule)
    is_called = ScheduleRow.name == schedule if schedule_id is None else ScheduleRow.id == schedule_id
    query = schedules_of(tenant_id).where(is_called)
    if lock:
        query = query.with_for_update()
    if with_job:
        query = query.options(undefer(ScheduleRow.job))
    row = await session.scalar(query)
    if row is None:
        raise ScheduleNotFound(schedule)
    return row


async def due_schedules(session: AsyncSession, now: datetime) -> list[UUID]:
    """Ids of those that are due, the ones that wait longest first."""
    query = select(ScheduleRow.id).where(ScheduleRow.next_run_at <= now)
    return list(await session.scalars(query.order_by(ScheduleRow.next_run_at).limit(MAX_DUE)))


async def due_schedule(session: AsyncSession, schedule_id: UUID, now: datetime) -> ScheduleRow | None:
    """One of them, with what it submits; None: it is not due any more."""
    query = select(ScheduleRow).where(ScheduleRow.id == schedule_id, ScheduleRow.next_run_at <= now)
    return await session.scalar(query.options(undefer(ScheduleRow.job)))


async def take_due(session: AsyncSession, seen: ScheduleRow) -> ScheduleRow | None:
    """Lock a schedule that is still due as it was seen; None: it was changed, or somebody else has it."""
    query = select(ScheduleRow).where(
        ScheduleRow.id == seen.id,
        ScheduleRow.next_run_at == seen.next_run_at,
        ScheduleRow.timezone == seen.timezone,
        ScheduleRow.job == seen.job,
    )
    return await session.scalar(query.with_for_update(skip_locked=True))


async def has_open_job(session: AsyncSession, row: ScheduleRow) -> bool:
    """Whether a job of the schedule has not ended."""
    query = select(JobRow.id).where(
        JobRow.tenant_id == row.tenant_id, JobRow.schedule_id == row.id, JobRow.ended_at.is_(None)
    )
    return await session.scalar(query.limit(1)) is not None


def timing_of(row: ScheduleRow) -> Timing:
    """When the schedule is due."""
    return Timing(**{name: getattr(row, name) for name in Timing.__struct_fields__})
