"""Schedules: jobs that the clock submits."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.database.base import Base, Identified


class ScheduleRow(Identified, Base):
    """What shall be submitted, when, and what came of it last."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_schedules_tenant_id_id", "tenant_id", "id"),
        Index("ix_schedules_due", "next_run_at", postgresql_where=text("next_run_at IS NOT NULL")),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    name: Mapped[str]

    cron: Mapped[str | None]  # one of these two
    run_at: Mapped[datetime | None]
    timezone: Mapped[str]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    enabled: Mapped[bool]
    overlap: Mapped[str]  # shared.schedules.request.Overlap

    # As it was sent, with all its rows, or an address that may hold a secret; not read by lists.
    job: Mapped[bytes] = mapped_column(deferred=True)
    job_shown: Mapped[dict[str, Any]]  # the same without these

    next_run_at: Mapped[datetime | None]  # None: disabled, or never again
    last_run_at: Mapped[datetime | None]  # when the last job was submitted
    last_job_id: Mapped[UUID | None]  # which may have been removed since
    last_error: Mapped[dict[str, Any] | None]  # shared.schedules.view.RunError; None: the last time went well
    refusals: Mapped[int] = mapped_column(default=0)  # in a row
