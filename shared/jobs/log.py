"""What a model printed during a job: the end of it, as far as its workers could tell before they ended."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.lookup import find_job
from shared.jobs.tables import JobLogRow

LOG_BYTES = 64 * 1024  # that are kept of one job


async def append_log(session: AsyncSession, job_id: UUID, text: bytes, *, left_out: int) -> None:
    """Add what was printed, and forget what is too old.

    Args:
        left_out: bytes before `text` that nobody has kept.
    """
    if left_out:
        text = b"\n[%d bytes are left out here]\n%b" % (left_out, text)
    new = insert(JobLogRow).values(
        job_id=job_id, content=text[-LOG_BYTES:], printed_bytes=len(text) + left_out
    )
    joined = JobLogRow.content.op("||")(new.excluded.content)
    first = func.greatest(func.octet_length(joined) - LOG_BYTES, 0) + 1
    await session.execute(
        new.on_conflict_do_update(
            index_elements=[JobLogRow.job_id],
            set_={
                "content": func.substr(joined, first),
                "printed_bytes": JobLogRow.printed_bytes + new.excluded.printed_bytes,
            },
        )
    )


async def read_log(session: AsyncSession, tenant_id: UUID, job: str) -> str:
    """The log of a tenant's job as text; its first line says so where the beginning is not kept.

    Raises:
        JobNotFound: there is none, or it is another tenant's.
    """
    row = await session.get(JobLogRow, (await find_job(session, tenant_id, job)).id)
    if row is None:
        return ""
    text = row.content.decode(errors="replace")
    forgotten = row.printed_bytes - len(row.content)
    return f"[{forgotten} bytes before this are not kept]\n{text}" if forgotten else text
