"""What a tenant is told that has no room left. All have one code; `quota` names which, and how much it is."""

from collections.abc import Mapping
from typing import Final

from shared.errors import CallerError, Conflict, RateLimited
from shared.quotas.quota import Quota, QuotaUse

_FREE: Final = {
    Quota.STORAGE_BYTES: "delete versions, jobs or uploads",
    Quota.MODELS: "delete a model",
    Quota.VERSIONS: "delete versions",
}
_ELSE: Final = "or ask whoever runs the platform for more"


class QuotaExceeded(Conflict):
    """The tenant has as much as it may: there has to be less of it first."""

    code = "quota_exceeded"

    def __init__(self, quota: Quota, *, limit: int, used: int, more: int) -> None:
        self.quota = QuotaUse(name=quota, used=used, limit=limit)
        super().__init__(
            f"the quota {quota} is {limit}, {used} are used, and this needs {more} more:"
            f" {_FREE[quota]}, {_ELSE}; GET /api/v1/usage shows every quota"
        )


class PredictionsQuotaExceeded(RateLimited):
    """The tenant has made as many prediction requests as it may in one day; midnight in UTC ends it."""

    code = "quota_exceeded"

    def __init__(self, limit: int, *, retry_after_s: int, headers: Mapping[str, str]) -> None:
        self.quota = QuotaUse(name=Quota.PREDICTIONS_PER_DAY, used=limit, limit=limit)
        detail = (
            f"the quota {Quota.PREDICTIONS_PER_DAY} is {limit}, and all of them are used today: come back"
            f" after midnight in UTC, in {retry_after_s} s, {_ELSE}"
        )
        super().__init__(detail, retry_after_s=retry_after_s, headers=headers)


class RowsQuotaExceeded(CallerError):
    """A job has more rows than the tenant may still predict today. Found by a worker; the job says so."""

    code = "quota_exceeded"

    def __init__(self, *, limit: int, used: int, more: int) -> None:
        super().__init__(
            f"the quota {Quota.JOB_ROWS_PER_DAY} is {limit}, {used} are used today, and this needs {more}"
            f" more: retry the job after midnight in UTC, send fewer rows, {_ELSE}"
        )
