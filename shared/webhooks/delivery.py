"""The states of a delivery."""

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # every attempt of the schedule is spent, or the receiver said 410
