"""By what a submission is known again, so that one that is sent twice becomes one job.

A mark is kept with the job that it has led to, and for as long: nothing is remembered of a submission that
was refused, and nothing is locked while a file arrives. Of equal submissions at the same time a unique index
lets one in; the others find its job.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import fields
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import may_use
from shared.jobs.errors import IdempotencyKeyReused, JobIdTaken
from shared.jobs.options import JobForm
from shared.jobs.tables import JobRow

_DEFAULTS = {field.name: field.default for field in fields(JobForm)}


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller calls a submission: one of these. Other tenants may use the same.

    Attributes:
        key: the header `Idempotency-Key`.
        client_id: the id that the caller chose for the job.
    """

    key: str | None = None
    client_id: UUID | None = None


class Mark(msgspec.Struct, frozen=True):
    """A name, and the digest of all that was asked for under it."""

    name: Name
    digest: str


def submission_digest(form: JobForm, content: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of what a submission asks for, however its bytes were arranged.

    An option that is left out counts as its default, so that new options change no digest.

    Args:
        content: what is to be predicted; equal where that is.
    """
    given = {name: getattr(form, name) for name, value in _DEFAULTS.items() if getattr(form, name) != value}
    canonical = msgspec.json.encode({"options": given, "input": content}, order="sorted")
    return hashlib.sha256(canonical).hexdigest()


async def find_marked(session: AsyncSession, tenant_id: UUID, mark: Mark) -> JobRow | None:
    """The job that this very submission has become; None where it is new.

    Raises:
        IdempotencyKeyReused, JobIdTaken: its name belongs to another one, or whoever acts may not see it.
    """
    job = await session.scalar(select(JobRow).where(JobRow.tenant_id == tenant_id, _is_called(mark.name)))
    if job is None or (job.submission_digest == mark.digest and may_use(job.model_id)):
        return job
    if mark.name.key is not None:
        raise IdempotencyKeyReused(mark.name.key)
    raise JobIdTaken(mark.name.client_id)


async def add_once(session: AsyncSession, job: JobRow, mark: Mark | None) -> JobRow:
    """Add the job, unless the same submission has become one meanwhile.

    Returns:
        The job that stands: this one, or the other.

    Raises:
        IdempotencyKeyReused, JobIdTaken: its name belongs to another submission by now.
    """
    if mark is not None:
        job.idempotency_key, job.client_id = mark.name.key, mark.name.client_id
        job.submission_digest = mark.digest
    try:
        async with session.begin_nested():
            session.add(job)
    except IntegrityError:
        known = None if mark is None else await find_marked(session, job.tenant_id, mark)
        if known is None:
            raise
        return known
    return job


def _is_called(name: Name) -> ColumnElement[bool]:
    if name.key is not None:
        return JobRow.idempotency_key == name.key
    # An id that the platform gave to a job of the tenant stands for that one already.
    return or_(JobRow.client_id == name.client_id, JobRow.id == name.client_id)
