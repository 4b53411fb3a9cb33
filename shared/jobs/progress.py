"""How far a job is and when it will be done. Rules without I/O."""

from datetime import datetime, timedelta

import msgspec

from shared.jobs.tables import JobRow


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's chunks add up to, at one moment.

    Attributes:
        rows_done: rows predicted, of unfinished chunks too.
        rows_finished: rows of the chunks that are done.
        at: the moment, by the database's clock.
    """

    rows_done: int
    rows_finished: int
    chunks: int
    chunks_finished: int
    at: datetime


def rows_per_second(job: JobRow, progress: Progress) -> float | None:
    """Rows a second from the first chunk's start to now, or to the end; None before it."""
    if job.started_at is None:
        return None
    until = job.finalizing_at or job.ended_at or progress.at
    seconds = (until - job.started_at).total_seconds()
    return round(progress.rows_done / seconds, 1) if seconds > 0 else None


def estimated_end_at(job: JobRow, progress: Progress) -> datetime | None:
    """When the rows will be done at the present rate; None where that cannot be told."""
    rate, total = rows_per_second(job, progress), _expected_rows(job, progress)
    if job.ended_at or not rate or total is None:
        return None
    return progress.at + timedelta(seconds=max(total - progress.rows_done, 0) / rate)


def _expected_rows(job: JobRow, progress: Progress) -> int | None:
    """Chunks are of about one size: where rows are not counted beforehand, finished chunks tell."""
    if job.rows_total is not None:
        return job.rows_total
    if not progress.chunks_finished:
        return None
    return round(progress.rows_finished / progress.chunks_finished * progress.chunks)
