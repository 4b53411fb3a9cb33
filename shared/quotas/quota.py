"""What a tenant may have and use, by name, and what applies where nobody said otherwise. No I/O."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from shared.settings import Settings


class Quota(StrEnum):
    """Everything that a tenant may only have so much of."""

    STORAGE_BYTES = "storage_bytes"
    MODELS = "models"
    VERSIONS = "versions"
    OPEN_JOBS = "open_jobs"
    UPLOADS = "uploads"
    SCHEDULES = "schedules"
    API_KEYS = "api_keys"
    JOB_ROWS_PER_DAY = "job_rows_per_day"
    PREDICTIONS_PER_DAY = "predictions_per_day"


class QuotaUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quota.

    Attributes:
        limit: null: none.
        resets_at: when nothing is used again, of quotas that are for a day.
    """

    name: Quota
    used: int
    limit: int | None
    resets_at: datetime | None = None


# Days are those of UTC, by the clocks of PostgreSQL and of Redis.
PER_DAY: Final = frozenset((Quota.JOB_ROWS_PER_DAY, Quota.PREDICTIONS_PER_DAY))

MOST: Final = 2**53 - 1  # that a quota may be: JSON and Redis's scripts hold it exactly


def defaults(settings: Settings) -> Mapping[Quota, int]:
    """The quotas of a tenant that has none of its own; 0: no quota."""
    return {
        Quota.STORAGE_BYTES: settings.quota_storage_bytes,
        Quota.MODELS: settings.quota_models,
        Quota.VERSIONS: settings.quota_versions,
        Quota.OPEN_JOBS: settings.max_open_jobs,
        Quota.UPLOADS: settings.max_uploads,
        Quota.SCHEDULES: settings.max_schedules,
        Quota.API_KEYS: settings.max_api_keys,
        Quota.JOB_ROWS_PER_DAY: settings.quota_job_rows_per_day,
        Quota.PREDICTIONS_PER_DAY: settings.quota_predictions_per_day,
    }
