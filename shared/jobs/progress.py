"""How far a job is and when it will be done. Rules without I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from shared.jobs.tables import JobRow

MOST_SPANS = 128  # of a job's latest that are looked at
WINDOW_S = 60.0  # over which the rate is taken; longer where chunks are long
WINDOW_CHUNKS = 4  # so many of their mean durations


class Span(msgspec.Struct, frozen=True):
    """One attempt at a chunk: rows predicted or left out from its start to when they were last counted."""

    start: datetime
    end: datetime
    rows: int

    def rows_since(self, moment: datetime) -> float:
        """How many of the rows came after a moment, as if they had come evenly."""
        seconds = (self.end - self.start).total_seconds()
        if seconds <= 0:
            return self.rows if self.end >= moment else 0.0
        after = (self.end - max(moment, self.start)).total_seconds()
        return self.rows * max(0.0, after) / seconds


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's chunks add up to, at one moment.

    Attributes:
        rows_done: rows predicted, of unfinished chunks too.
        rows_failed: likewise left out.
        rows_finished: rows of the chunks that are done, of either kind.
        finished_share: how much of the input those chunks are, from 0 to 1, by size.
        spans: of a job that runs, up to MOST_SPANS, those counted last.
        at: the moment, by the database's clock.
    """

    rows_done: int
    rows_failed: int = 0
    rows_finished: int
    finished_share: float
    spans: Sequence[Span] = ()
    at: datetime

    @property
    def rows_settled(self) -> int:
        """Rows that nothing more has to be done for."""
        return self.rows_done + self.rows_failed


def rows_per_second(job: JobRow, progress: Progress) -> float | None:
    """Over the latest chunks; once all rows are done, over the whole job. None before the first row."""
    rate = _rate(job, progress)
    return None if rate is None else round(rate, 1 if rate >= 10 else 3)  # noqa: PLR2004  three digits or more


def estimated_end_at(job: JobRow, progress: Progress) -> datetime | None:
    """When the rows will be done at the present rate; None where that cannot be told."""
    if job.ended_at or job.finalizing_at:
        return None
    rate, total = _rate(job, progress), expected_rows(job, progress)
    if not rate or total is None:
        return None
    return progress.at + timedelta(seconds=max(total - progress.rows_settled, 0) / rate)


def expected_rows(job: JobRow, progress: Progress) -> int | None:
    """The rows of the input; of a CSV file, as many as its finished chunks let expect by their size."""
    if job.rows_total is not None:
        return job.rows_total
    if not progress.finished_share:
        return None
    return round(progress.rows_finished / progress.finished_share)


def _rate(job: JobRow, progress: Progress) -> float | None:
    rows = progress.rows_settled - (job.rows_kept or 0)  # what an earlier run has done took its own time
    if job.started_at is None or not rows:
        return None
    until = job.finalizing_at or job.ended_at
    if until is None:
        return _recent_rate(progress, since=job.started_at)
    seconds = (until - job.started_at).total_seconds()
    return rows / seconds if seconds > 0 else None


def _recent_rate(progress: Progress, *, since: datetime) -> float | None:
    start = max(since, progress.at - _window(progress.spans))
    if len(progress.spans) >= MOST_SPANS:  # what was counted before these is not known
        start = max(start, min(span.end for span in progress.spans))
    seconds = (progress.at - start).total_seconds()
    rows = sum(span.rows_since(start) for span in progress.spans)
    return rows / seconds if seconds > 0 else None


def _window(spans: Sequence[Span]) -> timedelta:
    lasted = [(span.end - span.start).total_seconds() for span in spans if span.rows]
    mean_s = sum(lasted) / len(lasted) if lasted else 0.0
    return timedelta(seconds=max(WINDOW_S, WINDOW_CHUNKS * mean_s))
