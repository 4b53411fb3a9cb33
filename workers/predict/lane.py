"""A model host and the calls that it has: one computing, one waiting beside it where that pays."""

import asyncio
from collections.abc import Awaitable, Callable

from workers.host.protocol import SLOTS
from workers.hosting.call import PredictCall, Prediction
from workers.predict.calls import Call
from workers.predict.version_host import VersionHost

OnOutcome = Callable[[Call, Prediction | BaseException], None]
OnStarted = Callable[[Exception | None], None]


class Lane:
    """One host of a version."""

    def __init__(self, host: VersionHost, on_outcome: OnOutcome) -> None:
        self.host = host
        self.outstanding = 0
        self._on_outcome = on_outcome
        self._starting: asyncio.Task[None] | None = None

    def has_room(self, *, ahead: bool) -> bool:
        """Whether it takes a call.

        Args:
            ahead: also one that waits beside the one that computes.
        """
        return self.host.loaded and self.outstanding < (SLOTS if ahead else 1)

    def submit(self, call: Call, asked: PredictCall, *, timeout_s: float) -> None:
        """Send a call; its outcome comes by the callback."""
        self.outstanding += 1
        answer = self.host.submit(asked, timeout_s=timeout_s)
        answer.add_done_callback(lambda done: self._done(call, done))

    def start(self, on_started: OnStarted) -> None:
        """Load the model if its host is gone, unless that is under way; then say how it went."""
        if self._starting is None and not self.host.loaded:
            self._starting = asyncio.create_task(self._start(self.host.start(), on_started))

    async def stop(self) -> None:
        """End the host."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        self.host.kill()

    async def _start(self, started: Awaitable[None], on_started: OnStarted) -> None:
        error: Exception | None = None
        try:
            await started
        except Exception as failure:  # noqa: BLE001  whatever it is, those who wait are told
            error = failure
        finally:
            self._starting = None
        on_started(error)

    def _done(self, call: Call, answer: "asyncio.Future[Prediction]") -> None:
        self.outstanding -= 1
        error = answer.exception()
        self._on_outcome(call, answer.result() if error is None else error)
