"""Deliveries of events to the outside, and every attempt at each."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.clock import utc_now
from shared.database.base import Base, Identified


class DeliveryRow(Identified, Base):
    """One event for one address. Its id is the `webhook-id`, the same at every attempt."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_deliveries_tenant_id_id", "tenant_id", "id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    job_id: Mapped[UUID | None] = mapped_column(index=True)  # no reference: webhooks know nothing of jobs
    url: Mapped[str]
    event_type: Mapped[str]
    body: Mapped[str]  # the bytes that are signed, as text
    status: Mapped[str]  # shared.webhooks.delivery.DeliveryStatus
    attempts: Mapped[int] = mapped_column(default=0)  # counted when a worker claims it
    next_attempt_at: Mapped[datetime] = mapped_column(default=utc_now)
    sent_at: Mapped[datetime] = mapped_column(default=utc_now)  # when a message last asked for an attempt
    lease_until: Mapped[datetime | None]  # of the worker that is sending it
    delivered_at: Mapped[datetime | None]


class DeliveryAttemptRow(Base):
    """One attempt: written when a worker claims it, completed with what came of it."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey(DeliveryRow.id, ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)  # from 1
    attempted_at: Mapped[datetime]
    latency_ms: Mapped[int | None]  # None while it runs, and for ever where its worker was lost
    status_code: Mapped[int | None]  # None where there was no answer
    error: Mapped[str | None]
    answer: Mapped[str | None]  # the first of its bytes, as text
