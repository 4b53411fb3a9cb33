"""Joins what the first chunks of a job have left while its later ones run.

So that after the last of them only the last parts remain to be joined. Nothing depends on it: a job that
nobody joins early is joined when its last chunk is done (finish.py), by the same code and to the same bytes.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from shared.background import end_tasks
from shared.jobs.claims import StepClaim
from shared.jobs.early_join import Joinable, claim_early_join, joinable_parts
from shared.jobs.files import files_of
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_claimed
from workers.jobs.growing_parts import GrowingParts
from workers.jobs.holding import StopSign
from workers.jobs.joining import Joined, join_parts
from workers.jobs.sweep import sweep

LOOK_S = 0.25  # for parts that other workers have published; of its own this one knows at once

log = structlog.get_logger()


class EarlyJoins:
    """Those of one worker process, which joins one job early at a time. Used on the event loop."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._thread = ThreadPoolExecutor(1)  # beside those of the chunks, which it must not wait for
        self._task: asyncio.Task[None] | None = None
        self._job_id: UUID | None = None  # that the task is about
        self._changed = asyncio.Event()

    def tell(self, job_id: UUID) -> None:
        """A chunk of the job is done: begin to join it, or go on."""
        if self._task is not None and not self._task.done():
            if job_id == self._job_id:
                self._changed.set()
        elif not self._context.stopping.is_set():
            self._job_id = job_id
            self._task = asyncio.create_task(self._join(job_id), name=f"early join of {job_id}")

    async def close(self) -> None:
        """Wait until what is in hand has been given back. The context is stopping."""
        if self._task is not None:
            await asyncio.wait({self._task})
        self._thread.shutdown()

    async def _join(self, job_id: UUID) -> None:
        """Safe to repeat: one worker at a time can claim it, and the result counts of the newest claim."""
        try:
            async with self._context.database.transaction() as session:
                claim = await claim_early_join(session, job_id, settings=self._context.settings)
                names = [file.name for file in await files_of(session, job_id)] if claim else []
            if claim is not None and await self._finish(claim, names):
                await sweep(self._context, job_id)
        except Exception as error:  # nobody waits for it; the lease runs out by itself
            log.warning("early_join_lost", job_id=str(job_id), exc_info=error)

    async def _finish(self, claim: StepClaim, file_names: list[str]) -> bool:
        async def work(sign: StopSign) -> Joined:
            parts = GrowingParts(file_names, sign)
            feeding = asyncio.create_task(self._feed(claim.job_id, parts))
            join = partial(join_parts, self._context, claim, parts=parts, sign=sign)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, join)
            finally:
                await end_tasks(feeding)

        return await finish_claimed(self._context, claim, work)

    async def _feed(self, job_id: UUID, parts: GrowingParts) -> None:
        """Tell of the parts as they come."""
        known = 0
        try:
            while (found := await self._look(job_id, known)).errors is None:
                parts.add(found)
                known += len(found.keys)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK_S)
            parts.add(found)
        except Exception as error:  # noqa: BLE001  told to the thread, which would wait for ever
            parts.fail(error)

    async def _look(self, job_id: UUID, known: int) -> Joinable:
        self._changed.clear()
        try:
            async with self._context.database.transaction() as session:
                return await joinable_parts(session, job_id, known=known)
        except (DBAPIError, OSError) as error:  # away for a moment; the lease says for how long it may be
            log.warning("parts_not_known", job_id=str(job_id), error=type(error).__name__)
            return Joinable([], None)
