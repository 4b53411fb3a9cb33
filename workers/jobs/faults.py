"""What an error means for a job: whether trying again may help, and what its owner is told."""

import msgspec
import structlog

from shared.errors import CallerError
from shared.jobs.errors import InputUnreachable, UnreadableInput
from shared.jobs.job import JobError
from workers.hosting.errors import HostDied, HostTimedOut

log = structlog.get_logger()


class RowsRefused(UnreadableInput):
    """The model raised an error on a row."""

    code = "model_failed"


class FatalRow(CallerError):
    """A row ends the model's process, again and again.

    Attributes:
        trouble: what became of the process.
        row: of the chunk, or of the input, from 0.
        too_many: so many rows do that nobody looks for all of them.
        where: said before all else.
    """

    code = "model_crashed"

    def __init__(
        self,
        trouble: HostDied | HostTimedOut,
        *,
        row: int | None,
        too_many: bool = False,
        where: str = "",
    ) -> None:
        self.trouble, self.row, self.too_many = trouble, row, too_many
        more = "; too many rows of the chunk do that for all of them to be skipped" if too_many else ""
        super().__init__(f"{where}{_lost_host(trouble)[1]}{more}")


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
        case FatalRow():
            told = job_error(error.trouble, chunk=chunk)
            place = "" if error.row is None else f"row {error.row}: "
            return msgspec.structs.replace(told, row=error.row, message=f"{place}{error}")
        case HostDied() | HostTimedOut():
            code, message = _lost_host(error)
            return JobError(code=code, message=message, chunk=chunk)
        case CallerError() | InputUnreachable():
            return JobError(code=error.code, message=str(error), chunk=chunk)
    log.error("job_trouble", exc_info=error)
    return JobError(code="internal_error", message="the platform has a problem; it was logged", chunk=chunk)


def _lost_host(error: HostDied | HostTimedOut) -> tuple[str, str]:
    if isinstance(error, HostTimedOut):
        return "time_limit", str(error)
    if error.out_of_memory:
        return "out_of_memory", "the model's process ran out of memory"
    return "model_crashed", str(error)


def _sentence(error: UnreadableInput) -> str:
    place = [] if error.row is None else [f"row {error.row}"]
    place += [] if error.column is None or error.row is None else [f"column {error.column!r}"]
    return f"{', '.join(place)}: {error}" if place else str(error)
