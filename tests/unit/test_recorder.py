"""What the recorder counts, and what waits for PostgreSQL."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from shared.analytics import outcome
from shared.analytics.backlog import MAX_ROWS, Backlog
from shared.analytics.overall import Overall
from shared.analytics.recorder import Recorder
from shared.analytics.tally import Tally
from shared.database.engine import Database
from shared.metrics.family import MAX_SERIES
from shared.settings import Settings

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(
    database_url="postgresql+asyncpg://nobody@/nothing", redis_url="", storage_url="", secret_key="x" * 32
)
MODEL, VERSION = uuid4(), uuid4()
LABELS = (str(MODEL), str(VERSION))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(SETTINGS, Database(SETTINGS.database_url))


def record(recorder: Recorder, end: str = outcome.OK, **changes) -> None:
    usual = {"rows": 1, "cached": False, "queue_us": 300, "compute_us": 100, "total_us": 450}
    recorder.record(MODEL, VERSION, end, **usual | changes)


def metrics(recorder: Recorder) -> dict[str, dict]:
    return {family.name.removeprefix("modelyard_predict_"): family.values for family in recorder.families()}


def test_requests_are_counted_by_outcome(recorder):
    for end in (outcome.OK, outcome.OK, outcome.TIMEOUT):
        record(recorder, end)

    assert metrics(recorder)["requests_total"] == {(*LABELS, "ok"): [2], (*LABELS, "timeout"): [1]}


def test_rows_count_when_they_were_predicted(recorder):
    record(recorder, rows=5)
    record(recorder, outcome.FAILED, rows=7, compute_us=0)

    assert metrics(recorder)["rows_total"] == {LABELS: [5]}


def test_an_answer_of_the_cache_is_a_hit_and_says_nothing_of_the_model(recorder):
    record(recorder, cached=True, compute_us=0)
    record(recorder)

    found = metrics(recorder)

    assert (found["cache_hits_total"], found["cache_misses_total"]) == ({LABELS: [1]}, {LABELS: [1]})
    assert sum(found["compute_seconds"][LABELS][:-1]) == 1
    assert sum(found["total_seconds"][LABELS][:-1]) == 2


@pytest.mark.parametrize("end", sorted(outcome.UNTIMED))
def test_what_was_refused_at_the_door_does_not_make_a_model_look_quick(recorder, end):
    record(recorder, end)

    assert sum(metrics(recorder)["total_seconds"][LABELS]) == 0


def test_the_sums_are_in_seconds(recorder):
    record(recorder, total_us=1_500_000)

    assert metrics(recorder)["total_seconds"][LABELS][-1] == 1.5


def test_an_outcome_that_is_none_is_a_mistake(recorder):
    with pytest.raises(KeyError):
        record(recorder, "perhaps")


def test_it_can_be_switched_off():
    silent = Recorder(msgspec.structs.replace(SETTINGS, statistics=False), Database(SETTINGS.database_url))

    record(silent)

    assert metrics(silent)["requests_total"] == {}


def tally(requests: int = 1, version=VERSION) -> Tally:
    made = Tally(MODEL, version)
    made.outcomes[outcome.OK] = requests
    return made


def test_counts_of_the_same_minute_wait_as_one_row():
    backlog = Backlog()

    backlog.add(NOON, [tally(2)])
    backlog.add(NOON, [tally(3)])

    assert (len(backlog), backlog.requests()) == (1, 5)


def test_what_could_not_be_sent_waits_with_what_came_meanwhile():
    backlog = Backlog()
    backlog.add(NOON, [tally(2)])
    taken = backlog.take()
    backlog.add(NOON, [tally(3)])

    backlog.put_back(taken)

    assert (len(backlog), backlog.requests()) == (1, 5)


def test_past_its_bound_the_oldest_are_lost_and_counted():
    backlog = Backlog()
    for minute in range(MAX_ROWS):
        backlog.add(NOON + timedelta(minutes=minute), [tally(7)])

    lost = backlog.add(NOON + timedelta(days=30), [tally()])

    assert lost == 7
    assert NOON not in {minute for _, minute in backlog.take()}


def test_of_too_many_versions_the_metrics_make_one():
    overall = Overall()

    for _ in range(MAX_SERIES + 10):
        overall.add(tally(version=uuid4()))

    requests = next(iter(overall.families())).values
    assert len(requests) == MAX_SERIES + 1
    assert requests["other", "other", "ok"] == [10]
