"""One version at work: requests wait, hosts take them in calls, replies go out.

Driven by callbacks, not by tasks: requests that come, calls that end and hosts that start all lead to
`_fill`, which gives every free host its next call. Nobody sleeps to fill a batch unless the model's owner
asked for it: under load the queue itself fills them.
"""

import asyncio
import time
from collections.abc import Collection, Iterable

import structlog

from shared.catalog.model_settings import ModelSettings
from shared.catalog.verdict import Layout
from shared.errors import PlatformError
from shared.predictions.errors import ModelCrashed, ModelFailed, ModelLoading, PredictionTimeout
from shared.predictions.tensors import join_tensors
from shared.predictions.wire import Failure, Reply, join_tables
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.errors import HostDied, HostGone, HostTimedOut
from workers.hosting.errors import ModelFailed as HostModelFailed
from workers.predict.artifact import Artifact
from workers.predict.batching import Batching
from workers.predict.busy_meter import BusyMeter
from workers.predict.calls import Call, Waiting
from workers.predict.lane import Lane
from workers.predict.metrics import observe_batch
from workers.predict.request_queue import RequestQueue
from workers.predict.taken import Taken
from workers.predict.version_host import VersionHost
from workers.predict.withdrawn import WithdrawnRequests

log = structlog.get_logger()

TRIES = 2  # of a call that ends its host, and of a host's start: the first may have failed by chance
STOP_PAUSE_S = 0.005  # between looks whether the last call has ended


class ServedVersion:
    """Serves the requests for one version."""

    def __init__(
        self, host: VersionHost, queue: RequestQueue, *, batching: Batching, withdrawn: WithdrawnRequests
    ) -> None:
        self.host = host  # the first; others come and go
        self.last_used = time.monotonic()
        self._queue, self._batching, self._withdrawn = queue, batching, withdrawn
        self._lanes = [Lane(host, self._end_call)]
        self._waiting = Waiting()
        self._meter = BusyMeter()
        self._timer: asyncio.TimerHandle | None = None
        self._ready = self._stopping = False
        self._failed_starts = 0  # of hosts, in a row

    async def start(self) -> None:
        """Load the model if it is not, and begin to answer."""
        await self._queue.open(self._add)
        try:
            await self.host.start()
        except Exception as error:
            await self._refuse_all(error)
            raise
        self._ready = True
        self._queue.want(more=True)

    async def stop(self) -> None:
        """Answer what was taken, take nothing more, and let go of the hosts."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        await self._queue.stop_taking()
        while self._waiting or any(lane.outstanding for lane in self._lanes):
            self._fill()
            await asyncio.sleep(STOP_PAUSE_S)
        await self._queue.close()
        for lane in self._lanes:
            await lane.stop()

    async def adopt(self, living: Collection[str]) -> None:
        """Answer what dead workers had taken."""
        adopted = await self._queue.adopt(living)
        if adopted:
            log.info("adopted requests", requests=len(adopted))
            self._add(adopted)

    @property
    def busy(self) -> float:
        """The fraction of the last second or so in which every host was computing."""
        return self._meter.fraction()

    @property
    def waiting_rows(self) -> int:
        """Rows that were taken and are not computed yet."""
        return self._waiting.rows

    @property
    def hosts(self) -> int:
        """How many hosts it has."""
        return len(self._lanes)

    def apply(self, settings: ModelSettings) -> None:
        """Batch as the settings say, from the next call on."""
        self._batching.apply(settings)

    async def add_host(self, host: VersionHost) -> None:
        """Let one more host take calls, once it has loaded the model."""
        await host.start()
        self._lanes.append(Lane(host, self._end_call))
        self._fill()

    async def remove_host(self) -> None:
        """Let go of the host that came last, once it has answered. The first stays."""
        if len(self._lanes) == 1:
            return
        lane = self._lanes.pop()
        while lane.outstanding:  # noqa: ASYNC110  an event would be work on the path of every call
            await asyncio.sleep(STOP_PAUSE_S)
        await lane.stop()

    def _add(self, requests: Iterable[Taken]) -> None:
        self.last_used = time.monotonic()
        for taken in requests:
            self._waiting.add(taken)
        self._fill()

    def _fill(self) -> None:
        """Give every host that has room its next call."""
        if not self._ready:
            return
        while self._waiting and (lane := self._free_lane()) is not None and self._is_due():
            call = self._next_call()
            if call is not None:
                self._submit(lane, call)
        for lane in self._lanes:
            lane.start(self._begin_again)
        self._meter.note(busy=all(lane.outstanding for lane in self._lanes))
        if not self._stopping:
            self._queue.want(more=self._waiting.rows < self._batching.max_rows)

    def _free_lane(self) -> Lane | None:
        """The host that is to take the next call; None where all are busy."""
        ahead = self._batching.fills_ahead(self._waiting.rows)
        free = [lane for lane in self._lanes if lane.has_room(ahead=ahead)]
        return min(free, key=lambda lane: lane.outstanding, default=None)

    def _is_due(self) -> bool:
        """Whether the next call may go; sees to it that it does when its time has come."""
        left_s = self._batching.delay_s(self._waiting.rows, self._waiting.oldest_at(), time.monotonic())
        if left_s <= 0 or self._stopping:
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._timer_rang)
        return False

    def _timer_rang(self) -> None:
        self._timer = None
        self._fill()

    def _next_call(self) -> Call | None:
        """The next requests for which somebody waits; None where that is nobody."""
        call = self._waiting.next_call(self._batching.max_rows)
        now = time.monotonic()
        unwanted = {taken for taken in call.requests if self._is_unwanted(taken, now)}
        if not unwanted:
            return call
        self._queue.drop(unwanted)
        wanted = [taken for taken in call.requests if taken not in unwanted]
        return Call(wanted, tries=call.tries, suspect=call.suspect) if wanted else None

    def _is_unwanted(self, taken: Taken, now: float) -> bool:
        if taken.deadline <= now:
            return True
        return bool(self._withdrawn) and (taken.reply_to, taken.request.id) in self._withdrawn

    def _submit(self, lane: Lane, call: Call) -> None:
        now = time.monotonic()
        for taken in call.requests:
            taken.waited_us += int((now - taken.taken_at) * 1e6)
        try:
            asked = _stack(call, self.host.artifact)
        except Exception as error:  # whatever it is, those who wait are told, and the version goes on
            log.exception("call not made", version_id=str(self.host.artifact.version_id))
            self._refuse(call, error)
            return
        lane.submit(call, asked, timeout_s=self._batching.limit_s(call, now))

    def _end_call(self, call: Call, outcome: Prediction | BaseException) -> None:
        """A call is over: answer it, or find out whose fault it was."""
        if isinstance(outcome, Prediction):
            self._batching.note(outcome.compute_ns)
            observe_batch(call.rows)
            self._queue.answer(_replies(call, outcome))
        else:
            self._end_failed(call, outcome)
        self._fill()

    def _end_failed(self, call: Call, error: BaseException) -> None:
        if not isinstance(error, HostModelFailed | HostDied | HostTimedOut):
            log.error("call failed", version_id=str(self.host.artifact.version_id), exc_info=error)
            self._refuse(call, error)
        elif isinstance(error, HostGone):
            self._waiting.add_again(call)
        elif len(call.requests) > 1:
            self._waiting.add_again(*_smaller(call, error))
        elif isinstance(error, HostDied) and call.tries + 1 < TRIES:
            self._waiting.add_last_again(call.once_more())
        else:
            self._refuse(call, error)

    def _refuse(self, call: Call, error: BaseException) -> None:
        failure = _failure(error)
        self._queue.answer([(taken, Reply(taken.request.id, None, failure)) for taken in call.requests])

    def _begin_again(self, error: Exception | None) -> None:
        """A host has started, or could not: then nobody who waits now is to wait for it."""
        self._failed_starts = 0 if error is None else self._failed_starts + 1
        again = isinstance(error, HostDied) and self._failed_starts < TRIES
        if error is None or again or any(lane.host.loaded for lane in self._lanes):
            self._fill()
            return
        for taken in self._waiting.take_all():
            self._refuse(Call([taken]), error)

    async def _refuse_all(self, error: Exception) -> None:
        """Tell those who wait that the version cannot be loaded, rather than let their deadlines pass."""
        why = f": {error}" if isinstance(error, PlatformError) else "; try again"
        loading = ModelLoading(f"the model could not be loaded{why}")
        self._queue.want(more=True)
        await asyncio.sleep(STOP_PAUSE_S)
        await self._queue.stop_taking()
        for taken in self._waiting.take_all():
            self._refuse(Call([taken]), loading)
        await self._queue.close()


def _stack(call: Call, artifact: Artifact) -> PredictCall:
    """The rows of several requests as one call of the model."""
    bodies = [taken.request.body for taken in call.requests]
    if artifact.layout is Layout.MATRIX:
        return PredictCall(rows=call.rows, outputs=call.outputs, matrix=bodies)
    if artifact.layout is Layout.TENSORS and artifact.signature is not None:
        rows = [taken.request.rows for taken in call.requests]
        joined = join_tensors(bodies, rows, artifact.signature.inputs)
        return PredictCall(rows=call.rows, outputs=call.outputs, tensors=joined)
    return PredictCall(rows=call.rows, outputs=call.outputs, columns=join_tables(bodies))


def _smaller(call: Call, error: BaseException) -> Iterable[Call]:
    """What to try in place of a call that failed. Where each failure costs a host, with few of them."""
    if isinstance(error, HostModelFailed):
        return call.halves()
    return call.apart(suspect=isinstance(error, HostTimedOut))


def _replies(call: Call, prediction: Prediction) -> Iterable[tuple[Taken, Reply]]:
    """Each request's own part of the model's answer."""
    compute_us = prediction.compute_ns // 1000
    outputs = prediction.outputs.items()
    for taken, rows in call.row_slices():
        own = {name: list(values[rows]) for name, values in outputs}
        yield taken, Reply(taken.request.id, own, None, compute_us, taken.waited_us)


def _failure(error: BaseException) -> Failure:
    if isinstance(error, HostModelFailed):
        return Failure(ModelFailed.code, str(error))
    if isinstance(error, HostTimedOut):
        return Failure(PredictionTimeout.code, str(error))
    if isinstance(error, ModelLoading):
        return Failure(ModelLoading.code, str(error))
    if isinstance(error, PlatformError):
        return Failure(ModelCrashed.code, str(error))
    return Failure(ModelCrashed.code, "the model could not be called")
