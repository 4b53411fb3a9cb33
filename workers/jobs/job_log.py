"""Takes what a model prints while it works on a chunk, from its own host alone, into the log of the job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.background import end_tasks
from shared.database.engine import Database
from shared.jobs.log import append_log
from workers.hosting.process import HostProcess

log = structlog.get_logger()

TAKE_S = 2.0  # so much of it is lost with a worker that dies


class JobLog:
    """The log of one attempt at a chunk.

    A host that lives on works on other jobs of the same model afterwards. So what it printed is taken to the
    end while it is still lent: the next job begins where this one ended.
    """

    def __init__(self, database: Database, job_id: UUID) -> None:
        self._database, self._job_id = database, job_id
        self._host: HostProcess | None = None
        self._turn = asyncio.Lock()

    async def begin(self, host: HostProcess) -> None:
        """Listen to this host from now on. Of the one before it, the rest is taken."""
        await self._take()
        self._host = host

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Take what is printed until the block ends."""
        taking = asyncio.create_task(self._take_again_and_again())
        try:
            yield
        finally:
            await end_tasks(taking)
            await self.finish()

    async def finish(self) -> None:
        """Take the rest, and listen no more. Twice is the same as once."""
        await self._take()
        self._host = None

    async def _take_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(TAKE_S)
            await self._take()

    async def _take(self) -> None:
        async with self._turn:
            if self._host is None:
                return
            printed = await asyncio.to_thread(self._host.link.take_printed)
            if printed.text or printed.left_out:
                await self._append(printed.text, printed.left_out)

    async def _append(self, text: bytes, left_out: int) -> None:
        """A log that cannot be kept must not end a job."""
        try:
            async with self._database.transaction() as session:
                await append_log(session, self._job_id, text, left_out=left_out)
        except (SQLAlchemyError, OSError) as error:
            log.warning("job_log_not_kept", job_id=str(self._job_id), error=type(error).__name__)
