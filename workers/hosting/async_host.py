"""One model host, driven by an event loop."""

import asyncio
from collections import deque
from typing import Self

import msgspec

from shared.catalog.verdict import Contents, Engine, Reason, Signature, Verdict
from workers.host.protocol import BadFrame
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.conversation import Outcome
from workers.hosting.errors import HostDied, HostGone, HostTimedOut, ModelFailed
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate
from workers.hosting.watch import Watch, usage_of


class _Waiting(msgspec.Struct, frozen=True):
    """A call whose answer is awaited."""

    answer: asyncio.Future[Prediction]
    timeout_s: float


class AsyncHost:
    """A host for the event loop that made it. Answers come in the order of the calls, at most two at a time.

    Attributes:
        died: set to the HostDied or HostTimedOut once the host is gone, unless it was killed on purpose.
    """

    def __init__(self, process: HostProcess) -> None:
        self._process = process
        self._link = process.link
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._burial: asyncio.Task[None] | None = None
        self._reading = False
        self._watch, self._asked = Watch(), True
        self.died: asyncio.Future[HostDied | HostTimedOut] = self._loop.create_future()

    @classmethod
    async def spawn(cls, template: HostTemplate) -> Self:
        """Fork a host off the template, without blocking the loop."""
        return cls(await asyncio.to_thread(template.spawn))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def inspect(self, artifact: int, *, unpacked_bytes: int, timeout_s: float) -> Contents | Reason:
        """What is in the artifact behind a descriptor; see `HostProcess.inspect`."""
        return await asyncio.to_thread(
            self._process.inspect, artifact, unpacked_bytes=unpacked_bytes, timeout_s=timeout_s
        )

    async def load(
        self,
        artifact: int,
        *,
        sample: int | None = None,
        probe: bool,
        signature: Signature | None = None,
        engine: Engine | None = None,
        unpacked_bytes: int | None = None,
        timeout_s: float,
    ) -> Verdict:
        """Open the artifact behind a descriptor; see `HostProcess.load`."""
        verdict = await asyncio.to_thread(
            self._process.load,
            artifact,
            sample=sample,
            probe=probe,
            signature=signature,
            engine=engine,
            unpacked_bytes=unpacked_bytes,
            timeout_s=timeout_s,
        )
        self._start_reading()
        return verdict

    async def accelerate(self, *, timeout_s: float) -> Engine:
        """Look for a faster engine, before the first call; see `HostProcess.accelerate`."""
        self._stop_reading()
        engine = await asyncio.to_thread(self._process.accelerate, timeout_s=timeout_s)
        self._start_reading()
        return engine

    async def predict(self, call: PredictCall, *, timeout_s: float) -> Prediction:
        """Answer one call; the time counts from when its turn has come. Errors as `HostProcess.receive`."""
        return await self.submit(call, timeout_s=timeout_s)

    def submit(self, call: PredictCall, *, timeout_s: float) -> asyncio.Future[Prediction]:
        """Send a call now; its answer comes by the future, which raises HostGone if its turn never came."""
        answer: asyncio.Future[Prediction] = self._loop.create_future()
        self._asked = True
        if self._link.death is not None or self._burial is not None:
            answer.set_exception(HostGone("has just ended"))
            return answer
        buffers = self._link.conversation.predict(call)
        self._waiting.append(_Waiting(answer, timeout_s))
        if self._deadline is None:
            self._deadline = self._loop.call_later(timeout_s, self._overdue)
        try:
            self._link.send(buffers)
        except (OSError, BadFrame) as error:
            self._bury(error)
        return answer

    def slot(self, size_bytes: int) -> memoryview:
        """The area of shared memory that the next call's input is written to."""
        return self._process.slot(size_bytes)

    @property
    def outstanding(self) -> int:
        """Calls that wait for their answer."""
        return len(self._waiting)

    def watch(self) -> str | None:
        """Look at what it uses; what it was ended for just now, if anything. Not while it is loaded."""
        usage = usage_of(self.pid) if self._link.death is None else None
        if usage is None or not self._reading:
            return None
        idle, self._asked = not self._asked and not self._waiting, False
        fault = self._watch.look(usage, idle=idle)
        if fault is not None:
            self._bury(BadFrame(fault))
        return fault

    def kill(self) -> None:
        """End it now, whatever it does. Outstanding calls get HostDied."""
        self._stop_reading()
        self._link.kill()
        if self._burial is None and self._link.death is not None:
            self._give_up(self._link.death)

    def memory_bytes(self) -> int:
        """Memory that is this process's own."""
        return self._process.memory_bytes()

    def model_bytes(self) -> int:
        """By how much the model, with its engine, made it grow. Asks the kernel: not for the event loop."""
        return self._process.model_bytes()

    def _read(self) -> None:
        try:
            for outcome in self._link.take():
                waiting = self._waiting.popleft()
                self._next_deadline()
                if not waiting.answer.done():  # whoever asked may have left
                    _settle(waiting.answer, outcome)
        except (OSError, EOFError, BadFrame) as error:
            self._bury(error)

    def _next_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = (
            self._loop.call_later(self._waiting[0].timeout_s, self._overdue) if self._waiting else None
        )

    def _overdue(self) -> None:
        self._bury(HostTimedOut(self._waiting[0].timeout_s))

    def _bury(self, error: Exception) -> None:
        """Kill it, and learn off the loop how it ended."""
        if self._burial is None:
            self._stop_reading()
            self._burial = self._loop.create_task(self._learn_its_end(error))

    async def _learn_its_end(self, error: Exception) -> None:
        death = await asyncio.to_thread(self._link.fail, error)
        if not self.died.done():
            self.died.set_result(death)
        self._give_up(death)

    def _give_up(self, death: HostDied | HostTimedOut) -> None:
        first = True
        while self._waiting:
            answer = self._waiting.popleft().answer
            if not answer.done():
                answer.set_exception(death if first else HostGone("ended while it answered another call"))
            first = False

    def _start_reading(self) -> None:
        if self._link.death is None:
            self._loop.add_reader(self._link.fileno(), self._read)
            self._reading = True

    def _stop_reading(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._reading:
            self._loop.remove_reader(self._link.fileno())
            self._reading = False


def _settle(answer: asyncio.Future[Prediction], outcome: Outcome) -> None:
    match outcome:
        case Prediction():
            answer.set_result(outcome)
        case ModelFailed():
            answer.set_exception(outcome)
        case _:
            raise BadFrame("it gave no prediction")
