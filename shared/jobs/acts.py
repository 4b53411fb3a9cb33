"""Jobs as the audit log tells of them."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.jobs.tables import JobRow


async def note_job(
    session: AsyncSession, job: JobRow, action: str, *, before: dict[str, Any] | None = None
) -> None:
    """Write down what was done to a job, which is as it is then."""
    target = Target(type="job", id=job.id, name=job.input_file_name)
    await record_audit(
        session, action=action, target=target, before=before, after=_stated(job), tenant_id=job.tenant_id
    )


def _stated(job: JobRow) -> dict[str, Any]:
    stated = {"status": job.status, "model": job.model_name, "version": job.version_number}
    return stated if job.schedule_id is None else {**stated, "schedule_id": job.schedule_id}
