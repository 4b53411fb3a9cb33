"""The events that there are, and which of them an endpoint wants. Rules without I/O."""

from collections.abc import Sequence

from shared.webhooks.errors import UnknownEvents

JOB_PROGRESS = "job.progress"
TEST = "webhook.test"  # sent when an owner asks for it, whatever the endpoint wants

EVENTS = (
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    JOB_PROGRESS,
    "model.ready",
    "model.rejected",
    "model.degraded",
)
ONLY_BY_NAME = frozenset({JOB_PROGRESS})  # so many that nobody gets them who did not ask


def checked_events(asked: Sequence[str] | None) -> list[str]:
    """The events that an endpoint asks for, each once; none stands for all but those ONLY_BY_NAME.

    Raises:
        UnknownEvents: there are no such; the text lists those that there are.
    """
    given = list(dict.fromkeys(asked or ()))
    if not set(given) <= set(EVENTS):
        places = [place for place, name in enumerate(asked or ()) if name not in EVENTS]
        raise UnknownEvents(places, known=EVENTS)
    return given
