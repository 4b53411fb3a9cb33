"""How large calls get, how long they may wait and take: the rules, and what was seen of the model."""

from shared.catalog.model_settings import ModelSettings
from shared.settings import Settings
from workers.predict.calls import Call

SWIFT_S = 0.0005  # a call below this is over before the next could be sent: let that wait at the host
MEMORY = 0.2  # weight of the newest call in the average
SHARED_WAIT = 0.5  # of what is left until the first deadline, that a call may take where others wait for it
SLOW_CALLS = 20  # times the usual: no call is given up before it took that, or LEAST_LIMIT_S
LEAST_LIMIT_S = 1.0


class Batching:
    """The rules for one version, with its usual speed.

    Attributes:
        max_rows: of a call; a single larger request makes a call alone.
    """

    def __init__(self, platform: Settings, model: ModelSettings, *, usual_call_s: float | None) -> None:
        """Begin with what the verdict's probe took, where it is known."""
        self._platform = platform
        self._call_s = usual_call_s  # a fading average
        self.apply(model)

    def apply(self, model: ModelSettings) -> None:
        """Follow what the model's owner wants; where they want nothing, what the platform does."""
        self.max_rows = model.max_batch_rows or self._platform.max_batch_rows
        self._max_delay_s = model.max_batch_delay_ms / 1000  # for which requests may wait for company
        own_s = None if model.call_timeout_ms is None else model.call_timeout_ms / 1000
        self._call_timeout_s = own_s or self._platform.call_timeout_s

    def note(self, compute_ns: int) -> None:
        """A call has taken this long; however many rows it had, as most of it does not depend on them."""
        took_s = compute_ns / 1e9
        self._call_s = took_s if self._call_s is None else self._call_s + MEMORY * (took_s - self._call_s)

    def fills_ahead(self, waiting_rows: int) -> bool:
        """Whether a second call is worth sending to a host that computes.

        For a swift model it hides the way there and back. For a slow one it would split what could be one
        call, whose cost hardly depends on its rows; unless the call is full anyhow.
        """
        return (self._call_s or 0.0) < SWIFT_S or waiting_rows >= self.max_rows

    def delay_s(self, waiting_rows: int, oldest_at: float, now: float) -> float:
        """How much longer the next call is to wait for company; 0 or less: not at all."""
        if not self._max_delay_s or waiting_rows >= self.max_rows:
            return 0.0
        return oldest_at + self._max_delay_s - now

    def limit_s(self, call: Call, now: float) -> float:
        """How long the call may take: the model's limit, or less where that would cost others their answer.

        A call of one may take until its deadline. One of several, or one that may have been what made a call
        of several hang, may take half of that, so that there is time to answer the others.
        """
        if self._call_s is None:
            return self._call_timeout_s
        left_s = call.deadline - now
        if call.suspect or len(call.requests) > 1:
            left_s *= SHARED_WAIT
        least_s = max(LEAST_LIMIT_S, SLOW_CALLS * self._call_s)
        return min(max(left_s, least_s), self._call_timeout_s)
