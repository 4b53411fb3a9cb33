"""The states of a version, and which of them can serve."""

from enum import StrEnum


class VersionStatus(StrEnum):
    """Where a version is in its life."""

    VALIDATING = "validating"
    READY = "ready"
    REJECTED = "rejected"
    DEGRADED = "degraded"  # its host crashed again and again; still served, with warning
    ARCHIVED = "archived"


SERVABLE = frozenset({VersionStatus.READY, VersionStatus.DEGRADED})
