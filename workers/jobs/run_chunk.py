"""Second step of a job, once a chunk: predict its rows in a model host and publish a part of the output."""

from contextlib import closing
from typing import BinaryIO, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import ChunkClaim, claim_chunk
from shared.jobs.errors import UnreadableInput
from shared.jobs.hints import Hint
from shared.jobs.job import part_key
from shared.jobs.outcomes import record_part
from workers.hosting.process import HostProcess
from workers.jobs.attempt import attempt
from workers.jobs.batch import rows_a_batch
from workers.jobs.context import JobContext
from workers.jobs.holding import StopSign
from workers.jobs.job_input import JobInput, open_input
from workers.jobs.job_log import JobLog
from workers.jobs.predicting import BatchPredictor, RowsRefused, prediction_columns


async def run_chunk(context: JobContext, job_id: UUID, index: int) -> None:
    """Predict one chunk.

    Safe to repeat: one worker at a time can claim it, and the part counts that the newest claim publishes.
    """
    async with context.database.transaction() as session:
        claim = await claim_chunk(session, job_id, index, settings=context.settings)
    await context.news.announce(job_id)
    if claim is None:
        return
    run = ChunkRun(context, claim)

    async def record(session: AsyncSession, size_bytes: int) -> list[Hint] | None:
        return await record_part(session, claim, rows=run.rows_done, size_bytes=size_bytes)

    recorded = await attempt(context, claim, run.predict, record=record, rows_done=lambda: run.rows_done)
    if not recorded:
        await context.storage.delete(run.key)  # written or not, it is nobody's


class ChunkRun:
    """One worker's run over a chunk.

    Attributes:
        key: of the part that it writes.
        rows_done: so far.
    """

    def __init__(self, context: JobContext, claim: ChunkClaim) -> None:
        self._context, self._claim = context, claim
        self.key = part_key(claim.job_id, claim.index, fence=claim.fence)
        self.rows_done = 0

    async def predict(self, sign: StopSign) -> int:
        """Write the part; its size in bytes."""
        log = JobLog(self._context.database, self._claim.job_id)

        def begin(host: HostProcess) -> None:
            log.begin(host)
            sign.press = host.kill  # native code hears nothing else, and a load may take as long as a call

        async with log.kept(), self._context.hosts.lend(self._claim.order, begin=begin) as host:
            try:
                return await self._context.in_thread(self._write_part, host, sign)
            finally:
                await log.finish()

    def _write_part(self, host: HostProcess, sign: StopSign) -> int:
        order = self._claim.order
        with self._context.open(order.rows_key, sign) as file:
            job_input = open_input(file, order)
            try:
                with self._context.storage.writer(self.key) as sink:
                    self._write_rows(host, job_input, cast(BinaryIO, sink))
            except RowsRefused as refusal:
                raise self._located(refusal, job_input) from refusal
        return sink.written().size_bytes

    def _write_rows(self, host: HostProcess, job_input: JobInput, sink: BinaryIO) -> None:
        settings, order = self._context.settings, self._claim.order
        predictor = BatchPredictor(host, order.signature, timeout_s=settings.job_call_timeout_s)
        rows = rows_a_batch(order.signature, settings.chunk_batch_rows)
        batches = job_input.batches(self._claim.source, rows=rows)
        # Closed after an error too, while there is a sink: writers of Parquet insist on it when they go.
        with closing(job_input.output().part(sink)) as part:
            for batch, prediction in predictor.predict(batches):
                part.write(batch, prediction_columns(prediction, job_input.columns.predictions))
                self.rows_done += batch.rows

    def _located(self, refusal: RowsRefused, job_input: JobInput) -> UnreadableInput:
        """The refusal, with its row counted from the start of the file."""
        row = job_input.first_row(self._claim.source) + (refusal.row or 0)
        return RowsRefused(str(refusal), row=row, column=refusal.column)
