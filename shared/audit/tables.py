"""Who did what, when and from where. Rows are added, and never changed: a trigger of the database refuses it.

The trigger is in migrations/versions/0017_audit_log.py. What removes old rows says so in its transaction, see
shared/audit/retention.py.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base
from shared.ids import new_id


class AuditRow(Base):
    """One act. It refers to nothing, so that it stays when what it tells of is gone."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_tenant_id_id", "tenant_id", "id"),
        *(
            Index(f"ix_audit_log_tenant_id_{name}_id", "tenant_id", name, "id")
            for name in ("action", "actor_id", "target_id")
        ),
        Index("ix_audit_log_at", "at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]  # whose things it was done to
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    action: Mapped[str]  # docs/reference/audit-log.md lists them
    actor_type: Mapped[str]  # shared.audit.actor.ActorType
    actor_id: Mapped[UUID | None]  # of the user or the API key; None: the platform, or nobody known
    actor_name: Mapped[str | None]  # as they were called then: the user's address, the key's name
    address: Mapped[str | None]  # of the client; None: the platform
    request_id: Mapped[str | None]
    target_type: Mapped[str]
    target_id: Mapped[str | None]
    target_name: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]  # what of the target was changed, as it was; and as it is since
    after: Mapped[dict[str, Any] | None]
