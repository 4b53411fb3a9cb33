"""A delivery's states, an attempt at it, and what came of the attempt. Without any I/O."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from uuid import UUID

import msgspec


class DeliveryStatus(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # every attempt of the schedule is spent, or the receiver said 410
    HELD = "held"  # it waited when its endpoint was disabled: it is not sent unless somebody asks for that


class DisabledReason(StrEnum):
    """Why an endpoint gets nothing."""

    OWNER = "owner"
    GONE = "gone"  # it answered 410
    EXHAUSTED = "exhausted"  # a delivery failed at every attempt of its schedule


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, claimed by one worker. Carries secrets: never log it whole."""

    delivery_id: UUID
    tenant_id: UUID
    endpoint_id: UUID | None  # None: it goes to a `callback_url`
    target: str  # who fails together
    number: int  # from 1
    number_in_schedule: int  # likewise: a redelivery begins anew
    attempted_at: datetime  # by the database's clock
    url: str
    event_type: str
    body: bytes
    secrets: tuple[str, ...]  # the newest first


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt: a status code, or the reason why there was none."""

    latency_ms: int = 0
    status_code: int | None = None
    error: str | None = None
    answer: str | None = None  # the first of its bytes, as text
    retry_after_s: float | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver took it. A redirect is not followed and counts as a failure."""
        return self.status_code is not None and HTTPStatus(200) <= self.status_code < HTTPStatus(300)

    @property
    def is_refused(self) -> bool:
        """Whether the receiver wants it never again."""
        return self.status_code == HTTPStatus.GONE
