"""What a job that has ended leaves in storage, and what of it is of no use any more."""

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.files import JobFile, files_of
from shared.jobs.job import ChunkStatus, JobStatus, errors_part_key
from shared.jobs.tables import ChunkRow, JobLogRow, JobRow

_FENCED = re.compile(r"(?:parts/(\d+)|\w+)\.(\d+)(?:\.\w+)?", re.ASCII)  # see shared.jobs.job for the keys


class LeftOver(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the objects of a job since it has ended.

    Attributes:
        keep: keys that its owner, or a retry, may want; None: nothing is kept any more.
        fence: the newest of the job itself; of its chunks, by their index.
    """

    job_id: UUID
    ended_at: datetime
    keep: frozenset[str] | None
    deleted: bool = False
    fence: int
    chunk_fences: dict[int, int]

    def is_useful(self, key: str) -> bool:
        """Whether an object must stay: it is to be kept, or was written by a claim of later than the end.

        So whoever sweeps slowly, while the job is already retried, does no harm to what comes of that.
        """
        if self.keep is None:
            return False
        found = _FENCED.fullmatch(key.removeprefix(f"jobs/{self.job_id}/"))
        if key in self.keep or found is None:
            return True
        index, fence = found[1], int(found[2])
        newest = self.fence if index is None else self.chunk_fences.get(int(index), 0)
        return fence > newest


async def find_left_over(session: AsyncSession, job_id: UUID) -> LeftOver | None:
    """What there is to sweep; None unless the job has ended, and nobody works on it any more."""
    still_held = select(ChunkRow).where(ChunkRow.job_id == job_id, ChunkRow.lease_until > func.now())
    job = await session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id, JobRow.ended_at.is_not(None), JobRow.swept_at.is_(None))
        .where(or_(JobRow.lease_until.is_(None), JobRow.lease_until <= func.now()), ~still_held.exists())
    )
    return None if job is None else await left_over_of(session, job)


async def left_over_of(session: AsyncSession, job: JobRow) -> LeftOver:
    """What is known of the objects of a job that has ended."""
    assert job.ended_at is not None  # noqa: S101  narrows the type
    chunks = (await session.scalars(select(ChunkRow).where(ChunkRow.job_id == job.id))).all()
    files = await files_of(session, job.id)
    return LeftOver(
        job_id=job.id,
        ended_at=job.ended_at,
        keep=_kept(job, files, chunks),
        deleted=job.deleted_at is not None,
        fence=job.fence,
        chunk_fences={chunk.index: chunk.fence for chunk in chunks},
    )


async def record_sweep(session: AsyncSession, swept: LeftOver) -> None:
    """Note that storage holds nothing else of the job, unless it was retried meanwhile.

    Of a deleted one nothing is left at all; of one without files what the model printed goes too.
    """
    if swept.deleted:
        await session.execute(delete(JobRow).where(JobRow.id == swept.job_id))
        return
    if swept.keep is None:
        await session.execute(delete(JobLogRow).where(JobLogRow.job_id == swept.job_id))
    await session.execute(
        update(JobRow)
        .where(JobRow.id == swept.job_id, JobRow.ended_at == swept.ended_at)
        .values(swept_at=func.now())
    )


def _kept(job: JobRow, files: Sequence[JobFile], chunks: Sequence[ChunkRow]) -> frozenset[str] | None:
    if job.files_removed_at is not None or job.deleted_at is not None:
        return None
    kept = [*_kept_files(job, files), *(_kept_parts(chunks) if job.status != JobStatus.SUCCEEDED else [])]
    return frozenset(key for key in kept if key is not None)


def _kept_files(job: JobRow, files: Sequence[JobFile]) -> list[str | None]:
    errors = [file["key"] for file in (job.errors_files or {}).values()]
    kept = [job.input_key, *(file.key for file in files), job.result_key, *errors]
    if job.status != JobStatus.SUCCEEDED:
        texts = [job.text_key, *(file.text_key for file in files)]
        kept += [*texts, job.head["key"] if job.head else None]
    return kept


def _kept_parts(chunks: Sequence[ChunkRow]) -> list[str]:
    parts = [chunk.part_key for chunk in chunks if chunk.part_key and chunk.status == ChunkStatus.DONE]
    return [*parts, *map(errors_part_key, parts)]
