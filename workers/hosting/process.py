"""One model host, driven by blocking calls."""

import time
from collections import deque
from collections.abc import Sequence

import msgspec

from shared.catalog.verdict import Contents, Engine, Reason, Signature, Verdict
from workers.host.protocol import Attempted, BadFrame, Buffer
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.conversation import Outcome
from workers.hosting.errors import HostTimedOut, ModelFailed
from workers.hosting.link import HostLink


class HostProcess:
    """A process that holds one model. Not to be shared between threads.

    A host that died, hung or answered nonsense is killed and stays dead: spawn another.

    Attributes:
        link: its socket and process, for another driver.
    """

    def __init__(self, link: HostLink, *, may_run_code: bool = True, warnings: Sequence[str] = ()) -> None:
        """Args: may_run_code: otherwise it opens only formats without code; warnings: for its verdict."""
        self._may_run_code, self._warnings = may_run_code, list(warnings)
        self.link = link
        self._outcomes: deque[Outcome] = deque()
        self._bytes_before: int | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.link.pid

    def inspect(self, artifact: int, *, unpacked_bytes: int, timeout_s: float) -> Contents | Reason:
        """What is in the artifact behind a descriptor, or why there is nothing to serve. Runs nothing of it.

        At most once for each host, before it loads. `load` of the same artifact may follow.

        Args:
            artifact: as for `load`.
            unpacked_bytes: the most that it may unpack to.

        Raises:
            HostDied: reading it ended the process.
            HostTimedOut: it took too long.
        """
        self._bytes_before = self.memory_bytes()
        buffers = self.link.conversation.inspect(unpacked_bytes=unpacked_bytes)
        outcome = self._open(buffers, [artifact], timeout_s)
        if not isinstance(outcome, Contents | Reason):
            raise self.link.fail(BadFrame("it did not say what it read"))
        return outcome

    def load(
        self,
        artifact: int,
        *,
        sample: int | None = None,
        probe: bool,
        signature: Signature | None = None,
        engine: Engine | None = None,
        unpacked_bytes: int | None = None,
        many_rows: bool = False,
        timeout_s: float,
    ) -> Verdict:
        """Open the artifact behind a descriptor. Once for each host.

        Args:
            artifact: of a regular file or memfd; its offset is neither used nor moved.
            sample: likewise, of rows as CSV or Parquet.
            probe: ask for a whole verdict. Otherwise `signature`, of an earlier verdict, is taken as given.
            engine: of that verdict, to answer by; None: by the model's own library. The verdict that comes
                back says by which it is, should building the engine have failed.
            unpacked_bytes: the most that it may unpack to; None where that was judged before.
            many_rows: calls will be of thousands of rows: answer them by a faster form that gives the same
                bits, where there is one.

        Raises:
            HostDied: opening it ended the process.
            HostTimedOut: no verdict in time.
        """
        if probe == (signature is not None):
            raise ValueError("a probe finds the signature; without one it must be given")
        if self._bytes_before is None:
            self._bytes_before = self.memory_bytes()
        files = [artifact] if sample is None else [artifact, sample]
        buffers = self.link.conversation.load(
            sample=sample is not None,
            signature=signature,
            engine=engine,
            may_run_code=self._may_run_code,
            unpacked_bytes=unpacked_bytes,
            many_rows=many_rows,
        )
        verdict = self._open(buffers, files, timeout_s)
        if not isinstance(verdict, Verdict):
            raise self.link.fail(BadFrame("it gave no verdict"))
        if not probe or verdict.status != "ready":
            return verdict
        warnings = [*verdict.warnings, *self._warnings]
        return msgspec.structs.replace(verdict, memory_bytes=self.model_bytes(), warnings=warnings)

    def attempt(self, secret: str | None, *, memory_bytes: int, timeout_s: float) -> list[str]:
        """Let it try to get out of its cell, in place of a load; what it got away with.

        Args:
            secret: a file that must not be readable; None: try what a filter ends the process for.
            memory_bytes: that must not be had.

        Raises:
            HostDied, HostTimedOut: it did not tell.
        """
        try:
            self.link.send(self.link.conversation.attempt(secret, memory_bytes))
        except (OSError, BadFrame) as error:
            raise self.link.fail(error) from error
        attempted = self._next(time.monotonic() + timeout_s, timeout_s)
        if not isinstance(attempted, Attempted):
            raise self.link.fail(BadFrame("it did not say what it tried"))
        return attempted.escapes

    def accelerate(self, *, timeout_s: float) -> Engine:
        """Look for a faster engine, and answer by it from now on. Once, after a load with a probe.

        Raises:
            HostDied: the attempt ended the process; the model itself may be fine.
            HostTimedOut: likewise, it took too long.
        """
        try:
            self.link.send(self.link.conversation.accelerate())
        except (OSError, BadFrame) as error:
            raise self.link.fail(error) from error
        engine = self._next(time.monotonic() + timeout_s, timeout_s)
        if not isinstance(engine, Engine):
            raise self.link.fail(BadFrame("it named no engine"))
        return engine

    def slot(self, size_bytes: int) -> memoryview:
        """The area of shared memory that the next call's input is written to."""
        return self.link.conversation.slot(size_bytes)

    def submit(self, call: PredictCall) -> None:
        """Send a call; never waits. At most two calls may be outstanding.

        Raises:
            HostDied: there is nobody to send it to.
        """
        if self.link.death is not None:
            raise self.link.death
        buffers = self.link.conversation.predict(call)
        try:
            self.link.send(buffers)
        except (OSError, BadFrame) as error:
            raise self.link.fail(error) from error

    def receive(self, *, timeout_s: float) -> Prediction:
        """The answer of the oldest outstanding call.

        Raises:
            ModelFailed: the model raised an error on these rows; the host lives on.
            HostDied: there will be no answer.
            HostTimedOut: there was none in time; the host was killed.
        """
        outcome = self._next(time.monotonic() + timeout_s, timeout_s)
        if isinstance(outcome, ModelFailed):
            raise outcome
        if not isinstance(outcome, Prediction):
            raise self.link.fail(BadFrame("it gave no prediction"))
        return outcome

    def kill(self) -> None:
        """End it now, whatever it does."""
        self.link.kill()

    def memory_bytes(self) -> int:
        """Memory that it takes, beside what it shares with its template."""
        return self.link.memory_bytes()

    def model_bytes(self) -> int:
        """By how much the model, with its engine, made this process grow."""
        return max(0, self.memory_bytes() - (self._bytes_before or 0))

    def _open(self, buffers: list[Buffer], files: list[int], timeout_s: float) -> Outcome:
        deadline = time.monotonic() + timeout_s
        try:
            self.link.send_opening(buffers, files, deadline)
        except (OSError, EOFError) as error:
            raise self.link.fail(_timed_out(error, timeout_s)) from error
        return self._next(deadline, timeout_s)

    def _next(self, deadline: float, timeout_s: float) -> Outcome:
        try:
            while not self._outcomes:
                self.link.wait(deadline)
                self._outcomes.extend(self.link.take())
        except (OSError, EOFError, BadFrame) as error:
            raise self.link.fail(_timed_out(error, timeout_s)) from error
        return self._outcomes.popleft()


def _timed_out(error: Exception, timeout_s: float) -> Exception:
    return HostTimedOut(timeout_s) if isinstance(error, TimeoutError) else error
