"""Second step of a job, once a chunk: predict its rows in a model host and publish a part of the output."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import BinaryIO, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import ChunkClaim, claim_chunk
from shared.jobs.day_rows import record_counted_part
from shared.jobs.errors import UnreadableInput
from shared.jobs.hints import Hint
from shared.jobs.job import OnError, RowCounts, RowError, errors_part_key, part_key
from workers.hosting.process import HostProcess
from workers.jobs.attempt import attempt
from workers.jobs.batch import rows_a_batch
from workers.jobs.context import JobContext
from workers.jobs.errors_file import ErrorsPart
from workers.jobs.faults import FatalRow, RowsRefused
from workers.jobs.file_errors import located_in_job
from workers.jobs.holding import StopSign
from workers.jobs.host_loan import HostLoan
from workers.jobs.job_input import JobInput, open_input
from workers.jobs.job_log import JobLog
from workers.jobs.predicting import BatchPredictor, PredictRules
from workers.jobs.prediction_columns import prediction_columns


async def run_chunk(context: JobContext, job_id: UUID, index: int) -> None:
    """Predict that chunk, whosever turn it is."""
    async with context.database.transaction() as session:
        claim = await claim_chunk(session, job_id, index, settings=context.settings)
    await context.news.announce(job_id)
    if claim is not None:
        await run_claimed(context, claim)


async def run_claimed(context: JobContext, claim: ChunkClaim) -> bool:
    """Predict a chunk that was claimed for it; whether its part was published.

    Safe to repeat: one worker at a time can claim it, and the part counts that the newest claim publishes.
    """
    run = ChunkRun(context, claim)

    async def record(session: AsyncSession, size_bytes: int) -> list[Hint] | None:
        return await record_counted_part(
            session, claim, rows=run.rows(), size_bytes=size_bytes, settings=context.settings
        )

    recorded = await attempt(context, claim, run.predict, record=record, rows=run.rows)
    if not recorded:  # written or not, they are nobody's
        await context.storage.delete(run.key)
        await context.storage.delete(errors_part_key(run.key))
    return recorded


class ChunkRun:
    """One worker's run over a chunk.

    Attributes:
        key: of the part that it writes.
    """

    def __init__(self, context: JobContext, claim: ChunkClaim) -> None:
        self._context, self._claim = context, claim
        self.key = part_key(claim.job_id, claim.index, fence=claim.fence)
        self._rows_done = self._rows_failed = 0

    def rows(self) -> RowCounts:
        """How many so far."""
        return RowCounts(self._rows_done, self._rows_failed)

    async def predict(self, sign: StopSign) -> int:
        """Write the part, and the errors beside it if there are some; the size of the part in bytes."""
        log = JobLog(self._context.database, self._claim.job_id)

        async def begin(host: HostProcess) -> None:
            await log.begin(host)
            sign.press = host.kill  # native code hears nothing else, and a load may take as long as a call

        async with log.kept(), self._context.hosts.lend(self._claim.order, begin=begin) as loan:
            try:
                return await self._context.in_thread(self._write_part, loan, sign)
            except (UnreadableInput, FatalRow) as error:
                raise await located_in_job(self._context, self._claim, error, sign=sign) from error
            finally:
                await log.finish()

    def _write_part(self, loan: HostLoan, sign: StopSign) -> int:
        order, storage = self._claim.order, self._context.storage
        with self._context.open(order.rows_key, sign) as file, ExitStack() as stack:
            job_input = open_input(file, order)
            sink = stack.enter_context(storage.writer(self.key, hashed=False))
            errors_key = errors_part_key(self.key)
            errors = ErrorsPart(lambda: cast(BinaryIO, stack.enter_context(storage.writer(errors_key))))
            try:
                with closing(errors):
                    self._write_rows(self._predictor(loan, errors, sign), job_input, cast(BinaryIO, sink))
            except (RowsRefused, FatalRow) as refusal:
                raise self._located(refusal, job_input) from refusal
        return sink.tell()

    def _predictor(self, loan: HostLoan, errors: ErrorsPart, sign: StopSign) -> BatchPredictor:
        settings, order = self._context.settings, self._claim.order
        skip = order.on_error is OnError.SKIP
        rules = PredictRules(
            skip=skip,
            may_lose_hosts=skip or self._claim.attempt >= settings.chunk_attempts,
            batch_rows=self._batch_rows(),
            timeout_s=settings.job_call_timeout_s,
        )

        def refuse(refused: Sequence[RowError]) -> None:
            errors.write(refused)
            self._rows_failed += len(refused)

        outputs = [output.name for output in order.outputs]
        return BatchPredictor(
            loan, order.signature, outputs=outputs, rules=rules, refuse=refuse, check=sign.check
        )

    def _write_rows(self, predictor: BatchPredictor, job_input: JobInput, sink: BinaryIO) -> None:
        outputs = self._claim.order.outputs
        batches = job_input.batches(self._claim.source, rows=self._batch_rows())
        # Closed after an error too, while there is a sink: writers of Parquet insist on it when they go.
        with closing(job_input.output().part(sink)) as part:
            for batch, prediction in predictor.predict(batches):
                columns = prediction_columns(prediction, outputs, job_input.columns.predictions)
                part.write(batch, columns)
                self._rows_done += batch.rows

    def _batch_rows(self) -> int:
        return rows_a_batch(self._claim.order.outputs, self._context.settings.chunk_batch_rows)

    def _located(self, refusal: RowsRefused | FatalRow, job_input: JobInput) -> RowsRefused | FatalRow:
        """The same, with its row counted from the start of the file."""
        row = job_input.first_row(self._claim.source) + (refusal.row or 0)
        if isinstance(refusal, FatalRow):
            return FatalRow(refusal.trouble, row=row, too_many=refusal.too_many)
        return RowsRefused(str(refusal), row=row, column=refusal.column)
