"""What is wrong with one of a job's several files, told of the whole input: which file, which row of all."""

from collections.abc import Iterable
from typing import TypeAlias

from shared.jobs.claims import ChunkClaim
from shared.jobs.errors import UnreadableInput
from shared.jobs.files import files_of
from shared.jobs.job import ByteRange
from shared.jobs.order import Order, of_file
from workers.jobs.context import JobContext
from workers.jobs.faults import FatalRow
from workers.jobs.holding import StopSign
from workers.jobs.job_input import JobInput, open_input

Told: TypeAlias = UnreadableInput | FatalRow


async def located_in_job(context: JobContext, claim: ChunkClaim, error: Told, *, sign: StopSign) -> Told:
    """The same, said of the whole input, where the claim's file is one of several."""
    if claim.order.file_name is None:
        return error
    before = 0
    if error.row is not None:
        async with context.database.transaction() as session:
            files = await files_of(session, claim.job_id, before=claim.file)
        orders = [of_file(claim.order, file) for file in files if not file.is_empty]
        before = await context.in_thread(count_rows, context, orders, sign)
    return located(error, claim.order.file_name, before=before)


def located(error: Told, file_name: str, *, before: int) -> Told:
    """The same, said of the whole input. Args: before: rows of the files that come first."""
    its_row = "" if error.row is None else f" (its row {error.row})"
    where, row = f"in {file_name!r}{its_row}: ", None if error.row is None else before + error.row
    if isinstance(error, FatalRow):
        return FatalRow(error.trouble, row=row, too_many=error.too_many, where=where)
    return type(error)(f"{where}{error}", row=row, column=error.column)


def count_rows(context: JobContext, orders: Iterable[Order], sign: StopSign) -> int:
    """How many rows the files have. Reads files of text through: for errors only."""
    rows = 0
    for order in orders:
        with context.open(order.rows_key, sign) as file:
            rows += _rows_of(open_input(file, order), context.settings.chunk_bytes)
    return rows


def _rows_of(job_input: JobInput, chunk_bytes: int) -> int:
    counts = [chunk.rows for chunk in job_input.plan(chunk_bytes)]
    known = [rows for rows in counts if rows is not None]
    if len(known) == len(counts):
        return sum(known)
    return job_input.first_row(ByteRange(job_input.size_bytes, job_input.size_bytes))
