"""A request that a worker took out of a stream, and the entry that it came in."""

from shared.predictions.wire import Request


class Entry:
    """A stream entry in hand: done when the last of its requests is."""

    __slots__ = ("id", "open_requests")

    def __init__(self, entry_id: bytes, open_requests: int) -> None:
        self.id = entry_id
        self.open_requests = open_requests


class Taken:
    """A request, and where its reply goes.

    Attributes:
        deadline: monotonic seconds.
        taken_at: likewise.
        waited_us: between the entry's writing and our taking it.
    """

    __slots__ = ("deadline", "entry", "reply_to", "request", "taken_at", "waited_us")

    def __init__(
        self, request: Request, entry: Entry, *, reply_to: bytes, taken_at: float, age_s: float
    ) -> None:
        self.request, self.entry, self.reply_to = request, entry, reply_to
        self.taken_at = taken_at
        self.waited_us = int(age_s * 1e6)
        self.deadline = taken_at - age_s + request.budget_ms / 1000
