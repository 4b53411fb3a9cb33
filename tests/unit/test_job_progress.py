"""How fast a job is said to be, and when it is said to end, at a pace that is made up."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.jobs.progress import MOST_SPANS, Progress, Span, estimated_end_at, rows_per_second
from shared.jobs.tables import JobRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def progress(seconds: float, *spans: tuple[float, float, int], **known: float) -> Progress:
    """What is known so many seconds after noon of chunks with start, end and rows."""
    rows = sum(rows for *_, rows in spans)
    given = {"rows_done": rows, "rows_finished": rows, "finished_share": 0.0} | known
    return Progress(
        at=after(seconds), spans=[Span(after(start), after(end), rows) for start, end, rows in spans], **given
    )


def test_an_even_pace_is_told_as_it_is():
    job = JobRow(started_at=NOON, rows_total=1_000)
    halfway = progress(10, (0, 5, 250), (5, 10, 250))

    assert rows_per_second(job, halfway) == 50.0
    assert estimated_end_at(job, halfway) == after(20)


def test_workers_side_by_side_add_up():
    job = JobRow(started_at=NOON, rows_total=1_000)
    halfway = progress(10, (0, 10, 250), (0, 10, 250))

    assert rows_per_second(job, halfway) == 50.0


def test_a_pace_that_changed_is_told_as_it_is_now():
    """Ten minutes at 100 rows a second, and two at 10."""
    job = JobRow(started_at=NOON, rows_total=100_000)
    chunks = [(at, at + 10, 1_000) for at in range(0, 600, 10)] + [
        (at, at + 10, 100) for at in range(600, 720, 10)
    ]

    now = progress(720, *chunks)

    assert rows_per_second(job, now) == 10.0
    assert estimated_end_at(job, now) == after(720 + (100_000 - 61_200) / 10)


def test_long_chunks_are_smoothed_over_several():
    """One model call takes 100 seconds; the chunk that runs has told of no rows yet."""
    job = JobRow(started_at=NOON, rows_total=10_000)
    chunks = [(at, at + 100, 1_000) for at in range(0, 900, 100)]

    rate = rows_per_second(job, progress(950, *chunks, (900, 950, 0)))

    assert rate == pytest.approx(10, rel=0.15)


def test_a_job_that_stands_still_has_no_end_in_sight():
    job = JobRow(started_at=NOON, rows_total=1_000)
    stalled = progress(500, (0, 10, 100))

    assert rows_per_second(job, stalled) == 0.0
    assert estimated_end_at(job, stalled) is None


def test_only_the_latest_of_very_many_chunks_are_needed():
    job = JobRow(started_at=NOON, rows_total=10_000)
    latest = [(1_000 + at / 10, 1_000 + (at + 1) / 10, 5) for at in range(MOST_SPANS)]

    now = progress(1_000 + MOST_SPANS / 10, *latest, rows_done=9_000)

    assert rows_per_second(job, now) == pytest.approx(50, rel=0.02)


def test_a_slow_pace_keeps_its_digits():
    assert rows_per_second(JobRow(started_at=NOON), progress(100, (0, 100, 4))) == 0.04


def test_rows_that_are_not_counted_yet_are_expected_by_the_size_of_finished_chunks():
    job = JobRow(started_at=NOON, rows_total=None)

    assert estimated_end_at(job, progress(10, (0, 10, 100))) is None
    assert estimated_end_at(job, progress(10, (0, 10, 100), finished_share=0.25)) == after(40)


def test_nothing_is_told_before_the_first_row():
    assert rows_per_second(JobRow(), progress(1)) is None
    assert rows_per_second(JobRow(started_at=NOON), progress(1, (0, 1, 0))) is None
    assert estimated_end_at(JobRow(started_at=NOON, rows_total=9), progress(1, (0, 1, 0))) is None


def test_the_rate_of_a_whole_job_is_told_once_its_rows_are_done():
    finalizing = JobRow(started_at=NOON, finalizing_at=after(5), rows_total=100)
    ended = JobRow(started_at=NOON, finalizing_at=after(5), rows_total=100, ended_at=after(7))

    for job in (finalizing, ended):
        assert rows_per_second(job, progress(60, rows_done=100)) == 20.0
        assert estimated_end_at(job, progress(60, rows_done=100)) is None
