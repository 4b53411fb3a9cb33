"""What a prediction came to, for the statistics."""

import time

from api.dispatch import NotCached
from api.flight import Flight
from shared.analytics import outcome
from shared.analytics.recorder import Recorder
from shared.errors import CallerError, DeadlineExceeded, PlatformError, RateLimited, Unavailable
from shared.predictions.errors import ModelFailed, ModelLoading, QueueUnreachable, RequestWithdrawn

# The first that fits.
_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (ModelFailed, outcome.FAILED),
    (NotCached, outcome.INVALID),
    (CallerError, outcome.INVALID),
    (RateLimited, outcome.LIMITED),
    (ModelLoading, outcome.LOADING),
    (QueueUnreachable, outcome.FAILED),
    (Unavailable, outcome.OVERLOADED),
    (DeadlineExceeded, outcome.TIMEOUT),
    (RequestWithdrawn, outcome.CANCELLED),
)


def record_flight(recorder: Recorder, flight: Flight, error: PlatformError | None) -> None:
    """Count a flight whose version is known."""
    version, reply = flight.route.version, flight.reply
    computed = reply is not None and not flight.cached and error is None
    recorder.record(
        version.model_id,
        version.version_id,
        outcome.OK if error is None else _outcome_of(error),
        rows=flight.rows,
        cached=flight.cached,
        queue_us=reply.queue_us if reply is not None else 0,
        compute_us=reply.compute_us if reply is not None and computed else 0,
        total_us=int((time.monotonic() - flight.started) * 1e6),
    )


def _outcome_of(error: PlatformError) -> str:
    return next((told for kind, told in _OUTCOMES if isinstance(error, kind)), outcome.FAILED)
