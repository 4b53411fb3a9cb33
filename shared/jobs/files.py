"""The files of a job that has several."""

import hashlib
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.tables import JobFileRow, JobRow
from shared.jobs.text_encoding import TextEncoding


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of a job's files, as its workers see it.

    Attributes:
        encoding: of text; None: it is no text.
        text_key: what it was unpacked to; None: it is read as it is, or not planned yet.
        is_empty: there is nothing in it, not even a header.
    """

    index: int
    name: str
    key: str
    encoding: TextEncoding | None = None
    text_key: str | None = None
    is_empty: bool = False


async def files_of(session: AsyncSession, job_id: UUID, *, before: int | None = None) -> list[JobFile]:
    """The files of a job that has several, or those before one of them; none of a job that has one."""
    query = select(JobFileRow).where(JobFileRow.job_id == job_id)
    if before is not None:
        query = query.where(JobFileRow.index < before)
    return [_job_file(row) for row in await session.scalars(query.order_by(JobFileRow.index))]


async def file_of(session: AsyncSession, job_id: UUID, index: int | None) -> JobFile:
    """One of several files; None: the first that has anything in it."""
    query = select(JobFileRow).where(JobFileRow.job_id == job_id)
    is_wanted = ~JobFileRow.is_empty if index is None else JobFileRow.index == index
    found = await session.scalars(query.where(is_wanted).order_by(JobFileRow.index).limit(1))
    return _job_file(found.one())


async def record_files(
    session: AsyncSession, job_id: UUID, files: Sequence[JobFile], *, carried: bytes
) -> None:
    """Note what the plan has found: texts, files without anything in them, and what all of them carry."""
    found = [
        {"job_id": job_id, "index": file.index, "text_key": file.text_key, "is_empty": file.is_empty}
        for file in files
        if file.text_key is not None or file.is_empty
    ]
    if found:
        await session.execute(update(JobFileRow), found)
    await session.execute(update(JobRow).where(JobRow.id == job_id).values(carried=carried))


def digest_of_all(digests: Iterable[tuple[str, str]]) -> str:
    """One digest of several files: of the lines that `sha256sum` prints of them.

    Args:
        digests: of each file, with its name.
    """
    lines = "".join(f"{digest}  {name}\n" for digest, name in digests)
    return hashlib.sha256(lines.encode()).hexdigest()


def is_beside_rows(path: str) -> bool:
    """Whether a file holds no rows, as its name says: `_SUCCESS`, `_metadata`, `.part-0000.parquet.crc`."""
    *folders, name = path.split("/")
    hidden = any(part.startswith((".", "_")) and "=" not in part for part in (*folders, name))
    return hidden or name.endswith(".crc")


def _job_file(row: JobFileRow) -> JobFile:
    return JobFile(
        index=row.index,
        name=row.name,
        key=row.key,
        encoding=None if row.encoding is None else TextEncoding(row.encoding),
        text_key=row.text_key,
        is_empty=row.is_empty,
    )
