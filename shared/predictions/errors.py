"""What can go wrong with an online prediction, on either side of the queue."""

from shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    PlatformError,
    TooLarge,
    TransientError,
    Unavailable,
)
from shared.predictions.wire import Failure


class ModelFailed(InvalidInput):
    """The model raised an error on these rows."""

    code = "model_failed"


class ModelCrashed(TransientError):
    """The model's process died, or was stopped, while it had these rows, and again at the second try."""

    code = "model_crashed"


class ModelLoading(Unavailable):
    """No worker holds the version yet; one was asked to."""

    code = "model_loading"


class ModelBusy(Unavailable):
    """More rows wait for the version than the backlog allows."""

    code = "model_busy"


class QueueUnreachable(Unavailable):
    """The request queue does not answer."""

    code = "queue_unreachable"


class PredictionTimeout(DeadlineExceeded):
    """The deadline passed before the model answered."""

    code = "deadline_exceeded"


class RequestWithdrawn(TransientError):
    """The client left before its answer. Nobody hears of this but logs and statistics."""

    code = "request_withdrawn"


class TooManyRows(TooLarge):
    """More rows in one request than may wait for a version at all."""

    code = "too_many_rows"


def failure_to_error(failure: Failure) -> PlatformError:
    """The error to raise for a failure that a worker told."""
    if failure.code == ModelFailed.code:
        return ModelFailed(failure.message)
    if failure.code == PredictionTimeout.code:
        return PredictionTimeout(failure.message)
    if failure.code == ModelLoading.code:
        return ModelLoading(failure.message)
    return ModelCrashed(failure.message)
