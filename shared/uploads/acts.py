"""Uploads as the audit log tells of them."""

from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.uploads.tables import UploadRow


async def note_upload(session: AsyncSession, row: UploadRow, action: str) -> None:
    """Write down what was done to an upload, which is as it is then."""
    target = Target(type="upload", id=row.id, name=row.file_name)
    after = {"size_bytes": row.size_bytes, "sha256": row.digest}
    await record_audit(session, action=action, target=target, after=after, tenant_id=row.tenant_id)
