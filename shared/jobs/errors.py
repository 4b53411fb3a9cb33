"""What can be wrong with a request about jobs."""

from uuid import UUID

from shared.errors import (
    CallerError,
    Conflict,
    Gone,
    InvalidInput,
    MalformedRequest,
    NotAcceptable,
    NotFound,
    RateLimited,
    TransientError,
)

RETRY_AFTER_S = 10  # by which a job may have ended


class JobNotFound(NotFound):
    """No such job, or another tenant's."""

    code = "job_not_found"

    def __init__(self, job_id: UUID | str) -> None:
        super().__init__(f"no job {str(job_id)!r}")


class InvalidOption(InvalidInput):
    """An option of a job that does not fit."""

    code = "invalid_option"


class JobEnded(Conflict):
    """The job has ended: there is nothing left to cancel, or to retry."""

    code = "job_ended"


class TooManyJobs(RateLimited):
    """The tenant has as many unfinished jobs as it may."""

    code = "too_many_jobs"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} of your jobs have not ended, which is as many as may wait:"
            " send this one when another has ended, or cancel one",
            retry_after_s=RETRY_AFTER_S,
        )


class JobNotEnded(Conflict):
    """The job has not ended: what is asked for comes after that."""

    code = "job_not_ended"


class VersionDeleted(Conflict):
    """The job's version was deleted: nothing can predict its rows any more."""

    code = "version_deleted"


class ResultNotReady(Conflict):
    """The job has not ended yet."""

    code = "result_not_ready"


class ResultExpired(Gone):
    """The job's files were removed: they are kept for so many days after its end."""

    code = "result_expired"


class NoResult(Conflict):
    """The job ended without a result; the text says why."""

    code = "no_result"


class NotInOnePiece(NotAcceptable):
    """The result of this job is there as a file alone."""

    code = "not_in_one_piece"


class UnreadableInput(CallerError):
    """The file cannot be read, or does not fit the model. Found by a worker; the job says so.

    Attributes:
        row: of the input, from 0.
    """

    code = "unreadable_input"

    def __init__(self, message: str, *, row: int | None = None, column: str | None = None) -> None:
        self.row, self.column = row, column
        super().__init__(message)


class InputRefused(CallerError):
    """The server that a job's input lies at does not give it out. Found by a worker; the job says so."""

    code = "input_refused"


class InputTooLarge(CallerError):
    """What lies at the address is larger than an input may be. Likewise."""

    code = "input_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the file has more than the {max_bytes} bytes that are allowed")


class InputChanged(CallerError):
    """The file was replaced while it was fetched: half of each is no input. Likewise."""

    code = "input_changed"


class InputUnreachable(TransientError):
    """The server does not answer, or breaks off. Likewise, after as many attempts as chunks have."""

    code = "input_unreachable"


class ColumnsDoNotFit(UnreadableInput):
    """The file's columns are not those that the model takes."""

    code = "columns_do_not_fit"


class IdempotencyKeyReused(InvalidInput):
    """The key belongs to another submission."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} belongs to a submission of other content: send the same again,"
            " or take a new key"
        )


class InvalidIdempotencyKey(MalformedRequest):
    """The header Idempotency-Key does not hold one key."""

    code = "invalid_idempotency_key"


class JobIdTaken(Conflict):
    """The id belongs to another job of the same tenant."""

    code = "job_id_taken"

    def __init__(self, job_id: UUID | None) -> None:
        super().__init__(
            f"the id {str(job_id)!r} belongs to a job of other content: send the same again, or take a new id"
        )


class InvalidJobId(InvalidInput):
    """What shall be the id of a job is none."""

    code = "invalid_job_id"

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r:.100} is no UUID, which the id of a job must be")
