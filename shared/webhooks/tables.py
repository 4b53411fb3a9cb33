"""Endpoints, deliveries of events to them and elsewhere, and every attempt at each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant, User
from shared.clock import utc_now
from shared.database.base import Base, Identified


class EndpointRow(Identified, Base):
    """An address of a tenant's that events are sent to: what the API calls a webhook."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("ix_webhook_endpoints_tenant_id_id", "tenant_id", "id"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))  # who made it
    url: Mapped[str]
    events: Mapped[list[Any]]  # shared.webhooks.events; none: all that need not be asked for by name
    description: Mapped[str]
    enabled: Mapped[bool]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]  # shared.webhooks.delivery.DisabledReason; None while it is enabled
    salt: Mapped[bytes]  # its secret is derived from it
    salt_before: Mapped[bytes | None]  # of the secret that a rotation replaced, which signs too until then
    salt_before_until: Mapped[datetime | None]


class CircuitRow(Base):
    """A receiver that failed the last time, of one tenant. One that answers as it should has no row."""

    __tablename__ = "webhook_circuits"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)  # as in `deliveries`
    failures: Mapped[int]  # in a row
    failed_at: Mapped[datetime]
    open_until: Mapped[datetime | None]  # no attempt before; None: not open since it last answered


class DeliveryRow(Identified, Base):
    """One event for one address. Its id is the `webhook-id`, the same at every attempt."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index(
            "ix_deliveries_waiting",
            "tenant_id",
            "target",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_deliveries_running",
            "tenant_id",
            "lease_until",
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index("ix_deliveries_ended", "created_at", postgresql_where=text("status <> 'pending'")),
        Index("ix_deliveries_tenant_id_id", "tenant_id", "id"),
        Index("ix_deliveries_endpoint_id_id", "endpoint_id", "id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    job_id: Mapped[UUID | None] = mapped_column(index=True)  # no reference: webhooks know nothing of jobs
    endpoint_id: Mapped[UUID | None] = mapped_column(ForeignKey(EndpointRow.id, ondelete="CASCADE"))
    target: Mapped[str]  # who fails together: the id of the endpoint, or else host and port of the URL
    url: Mapped[str]
    event_type: Mapped[str]
    body: Mapped[str]  # the bytes that are signed, as text
    status: Mapped[str]  # shared.webhooks.delivery.DeliveryStatus
    attempts: Mapped[int] = mapped_column(default=0)  # counted when a worker claims it
    attempts_before: Mapped[int] = mapped_column(default=0, server_default="0")  # the present schedule
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
