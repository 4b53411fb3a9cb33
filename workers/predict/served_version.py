"""One version at work: take what waits, call the model, answer; and again.

Two cycles share the host, so that while it computes for one, the other has already taken what comes
next. Nobody sleeps to fill a batch: under load the queue itself fills them.
"""

import asyncio
import time
from collections.abc import Collection

import structlog
from redis.exceptions import RedisError

from shared.catalog.verdict import Layout
from shared.errors import PlatformError
from shared.predictions.errors import ModelCrashed, ModelFailed, ModelLoading, PredictionTimeout
from shared.predictions.wire import Failure, Reply, join_tables
from workers.host.protocol import SLOTS
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.errors import HostDied, HostTimedOut
from workers.hosting.errors import ModelFailed as HostModelFailed
from workers.predict.calls import Call, halves, plan_calls, row_slices, rows_of
from workers.predict.request_queue import RequestQueue, Taken, Work
from workers.predict.version_host import VersionHost

log = structlog.get_logger()

CYCLES = SLOTS  # as many as the host takes: one computing, one waiting
RETRY_PAUSE_S = 0.1  # between attempts to reach a Redis that does not answer

Answers = list[tuple[Taken, Reply]]


class ServedVersion:
    """Serves the requests for one version."""

    def __init__(self, host: VersionHost, queue: RequestQueue, *, max_batch_rows: int) -> None:
        self.host = host
        self.last_used = time.monotonic()
        self._queue, self._max_batch_rows = queue, max_batch_rows
        self._stopping = False
        self._cycles: list[asyncio.Task[None]] = []
        self._turn = asyncio.Semaphore(SLOTS)  # adopted requests come beside those of the cycles

    async def start(self) -> None:
        """Load the model if it is not, and begin to answer."""
        await self._queue.open()
        try:
            await self.host.start()
        except PlatformError as error:
            await self._refuse_waiting(error)
            raise
        self._cycles = [asyncio.create_task(self._run()) for _ in range(CYCLES)]

    async def stop(self) -> None:
        """Answer what was taken, take nothing more, and let go of the host."""
        self._stopping = True
        await asyncio.gather(*self._cycles)
        await self._queue.abandon()
        self.host.kill()

    async def adopt(self, living: Collection[str]) -> None:
        """Answer what dead workers had taken."""
        work = await self._queue.adopt(living)
        if work.entry_ids:
            log.info("adopted requests", requests=len(work.requests))
            await self._answer(work)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._answer(await self._queue.take())
            except (RedisError, OSError) as error:
                log.warning("request queue unreachable", error=str(error))
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _answer(self, work: Work) -> None:
        """Call the model for all of the work that somebody still waits for."""
        if not work.entry_ids:
            return
        try:
            await self._answer_all(work)
        finally:
            self._queue.put_down(work)

    async def _answer_all(self, work: Work) -> None:
        self.last_used = now = time.monotonic()
        alive = [taken for taken in work.requests if taken.deadline > now]
        calls = list(plan_calls(alive, max_rows=self._max_batch_rows))
        for call in calls[:-1]:
            await self._queue.answer(await self._predict(call), done=[])
        last = await self._predict(calls[-1]) if calls else []
        await self._queue.answer(last, done=work.entry_ids)

    async def _predict(self, call: Call) -> Answers:
        """Call the model; if that fails, find the request at fault, so that its neighbours are answered."""
        try:
            return _replies(call, await self._call_host(call))
        except (HostModelFailed, HostDied, HostTimedOut) as error:
            if len(call) == 1:
                return [(call[0], await self._last_word(call, error))]
        except Exception as error:  # whatever it is, those who wait are told, and the version goes on
            log.exception("call failed", version_id=str(self.host.artifact.version_id))
            return [(taken, Reply(taken.request.id, None, _failure(error))) for taken in call]
        first, second = halves(call)
        return await self._predict(first) + await self._predict(second)

    async def _last_word(self, call: Call, error: PlatformError) -> Reply:
        """What the one request is told; a crash may have been another's fault, so it is tried once more."""
        try:
            if isinstance(error, HostDied):
                return _replies(call, await self._call_host(call))[0][1]
        except PlatformError as second_error:
            error = second_error
        return Reply(call[0].request.id, None, _failure(error))

    async def _call_host(self, call: Call) -> Prediction:
        async with self._turn:
            return await self.host.predict(_stack(call, self.host.artifact.layout))

    async def _refuse_waiting(self, error: PlatformError) -> None:
        """Tell those who wait that the version cannot be loaded, rather than let their deadlines pass."""
        work = await self._queue.take()
        failure = Failure(ModelLoading.code, f"the model could not be loaded: {error}")
        replies = [(taken, Reply(taken.request.id, None, failure)) for taken in work.requests]
        await self._queue.answer(replies, done=work.entry_ids)


def _stack(call: Call, layout: Layout) -> PredictCall:
    """The rows of several requests as one call of the model."""
    rows, outputs = rows_of(call), call[0].request.outputs
    bodies = [taken.request.body for taken in call]
    if layout is Layout.MATRIX:
        return PredictCall(rows=rows, outputs=outputs, matrix=bodies)
    return PredictCall(rows=rows, outputs=outputs, columns=join_tables(bodies))


def _replies(call: Call, prediction: Prediction) -> Answers:
    """Each request's own part of the model's answer."""
    compute_us = prediction.compute_ns // 1000
    return [
        (
            taken,
            Reply(
                taken.request.id,
                {name: list(values[rows]) for name, values in prediction.outputs.items()},
                compute_us=compute_us,
            ),
        )
        for taken, rows in row_slices(call)
    ]


def _failure(error: Exception) -> Failure:
    if isinstance(error, HostModelFailed):
        return Failure(ModelFailed.code, str(error))
    if isinstance(error, HostTimedOut):
        return Failure(PredictionTimeout.code, str(error))
    if isinstance(error, PlatformError):
        return Failure(ModelCrashed.code, str(error))
    return Failure(ModelCrashed.code, "the model could not be called")
