"""What an error means for a job: whether trying again may help, and what its owner is told."""

import structlog

from shared.errors import CallerError
from shared.jobs.errors import UnreadableInput
from shared.jobs.job import JobError
from workers.hosting.errors import HostDied, HostTimedOut

log = structlog.get_logger()


def may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed: rows that do not fit today do not fit tomorrow."""
    return not isinstance(error, CallerError)


def job_error(error: Exception, *, chunk: int | None = None) -> JobError:
    """What the job's owner is told. The platform's own troubles are logged, and not spelled out."""
    match error:
        case UnreadableInput():
            return JobError(
                code=error.code, message=_sentence(error), chunk=chunk, row=error.row, column=error.column
            )
        case HostDied(out_of_memory=True):
            return JobError(
                code="out_of_memory", message="the model's process ran out of memory", chunk=chunk
            )
        case HostDied():
            return JobError(code="model_crashed", message=str(error), chunk=chunk)
        case HostTimedOut():
            return JobError(code="time_limit", message=str(error), chunk=chunk)
        case CallerError():
            return JobError(code=error.code, message=str(error), chunk=chunk)
    log.error("job_trouble", exc_info=error)
    return JobError(code="internal_error", message="the platform has a problem; it was logged", chunk=chunk)


def _sentence(error: UnreadableInput) -> str:
    place = [] if error.row is None else [f"row {error.row}"]
    place += [] if error.column is None or error.row is None else [f"column {error.column!r}"]
    return f"{', '.join(place)}: {error}" if place else str(error)
