"""What may wait in an API process, by a clock that the tests move."""

import time
from uuid import uuid4

import pytest

from api.backlog import Backlog
from shared.predictions.errors import ModelBusy, TooManyRows
from shared.settings import Settings

ADA, BOB = uuid4(), uuid4()  # tenants
IRIS, WINE = uuid4(), uuid4()  # versions


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def bounded(**settings) -> Backlog:
    needed = {
        "DATABASE_URL": "postgresql+asyncpg://nowhere/none",
        "REDIS_URL": "redis://nowhere/0",
        "STORAGE_URL": "file:///nowhere",
        "SECRET_KEY": "a secret that every test may know",
    }
    return Backlog(Settings.from_env(needed | {name.upper(): str(given) for name, given in settings.items()}))


def answer(backlog, clock, *, requests, rows, every_s) -> None:
    """Have a busy version answer so many requests, one each `every_s`."""
    for _ in range(requests):
        clock.now += every_s
        backlog.leave(ADA, IRIS, rows, answered=True)


def busy_at_100_rows_a_second(backlog, clock, *, left_rows) -> None:
    """A version that was seen to answer 100 rows a second for a second, and `left_rows` that wait for it."""
    for _ in range(10):
        backlog.enter(ADA, IRIS, 10)
    backlog.enter(ADA, IRIS, left_rows)
    answer(backlog, clock, requests=10, rows=10, every_s=0.1)


def test_so_many_rows_of_a_version_may_wait_and_not_one_more():
    backlog = bounded(max_pending_rows=100)
    backlog.enter(ADA, IRIS, 60)
    backlog.enter(BOB, IRIS, 40)

    with pytest.raises(ModelBusy, match="100 rows already wait"):
        backlog.enter(ADA, IRIS, 1)

    backlog.enter(ADA, WINE, 100)  # of another version as many


def test_rows_that_no_longer_wait_make_room():
    backlog = bounded(max_pending_rows=100)
    backlog.enter(ADA, IRIS, 100)

    backlog.leave(ADA, IRIS, 100, answered=False)

    backlog.enter(ADA, IRIS, 100)


def test_a_request_larger_than_all_that_may_wait_is_the_callers_fault():
    backlog = bounded(max_pending_rows=100)

    with pytest.raises(TooManyRows, match="at most 100"):
        backlog.enter(ADA, IRIS, 101)


def test_a_request_that_would_wait_too_long_is_refused(clock):
    backlog = bounded(max_pending_s=2)

    busy_at_100_rows_a_second(backlog, clock, left_rows=180)
    backlog.check(BOB, IRIS, left_s=60)
    backlog.enter(ADA, IRIS, 30)  # 210 rows at 100 a second

    with pytest.raises(ModelBusy, match=r"would wait 2\.1 s"):
        backlog.check(BOB, IRIS, left_s=60)
    backlog.check(BOB, WINE, left_s=60)


def test_one_with_little_time_is_refused_sooner(clock):
    backlog = bounded(max_pending_s=2)

    busy_at_100_rows_a_second(backlog, clock, left_rows=50)

    backlog.check(BOB, IRIS, left_s=0.7)
    with pytest.raises(ModelBusy):
        backlog.check(BOB, IRIS, left_s=0.6)  # half a second is more than 0.8 of it


def test_it_is_told_to_come_back_when_half_of_the_wait_is_over(clock):
    backlog = bounded(max_pending_s=4, max_pending_rows=1000)

    busy_at_100_rows_a_second(backlog, clock, left_rows=800)

    with pytest.raises(ModelBusy) as by_age:
        backlog.check(BOB, IRIS, left_s=60)
    assert by_age.value.retry_after_s == 6  # 8 s of work are left; in 6 s it will be 2 s
    with pytest.raises(ModelBusy) as by_rows:
        backlog.enter(BOB, IRIS, 201)
    assert by_rows.value.retry_after_s == 4  # half of the rows are gone then


def test_a_version_that_stands_still_is_noticed(clock):
    backlog = bounded(max_pending_s=2)
    busy_at_100_rows_a_second(backlog, clock, left_rows=100)
    backlog.check(BOB, IRIS, left_s=60)

    clock.now += 1.5  # and nothing is answered

    with pytest.raises(ModelBusy):
        backlog.check(BOB, IRIS, left_s=60)


def test_the_rate_is_that_of_late(clock):
    backlog = bounded(max_pending_s=2)
    busy_at_100_rows_a_second(backlog, clock, left_rows=0)
    for _ in range(40):
        backlog.enter(ADA, IRIS, 10)

    answer(backlog, clock, requests=25, rows=10, every_s=0.4)  # 25 rows a second now; 150 wait

    with pytest.raises(ModelBusy, match=r"would wait [56]\."):
        backlog.check(BOB, IRIS, left_s=60)


def test_what_was_idle_in_between_does_not_count(clock):
    backlog = bounded(max_pending_s=2)
    busy_at_100_rows_a_second(backlog, clock, left_rows=10)
    answer(backlog, clock, requests=1, rows=10, every_s=0.1)

    clock.now += 30
    backlog.enter(ADA, IRIS, 100)
    clock.now += 0.3

    backlog.check(BOB, IRIS, left_s=60)


def test_in_its_first_moments_no_version_is_judged_by_its_rate(clock):
    backlog = bounded(max_pending_s=0.1)
    busy_at_100_rows_a_second(backlog, clock, left_rows=10)
    answer(backlog, clock, requests=1, rows=10, every_s=0.1)

    backlog.enter(ADA, IRIS, 100)
    clock.now += 0.2

    backlog.check(BOB, IRIS, left_s=60)


def test_the_time_that_a_version_takes_to_load_does_not_count(clock):
    backlog = bounded(max_pending_s=2)
    backlog.enter(ADA, IRIS, 1)
    answer(backlog, clock, requests=1, rows=1, every_s=5)

    for _ in range(10):
        backlog.enter(ADA, IRIS, 1)
    answer(backlog, clock, requests=6, rows=1, every_s=0.05)

    backlog.check(BOB, IRIS, left_s=60)  # the 4 that wait have 0.2 s to go


def test_nobody_is_sent_away_for_longer_than_a_minute(clock):
    backlog = bounded(max_pending_s=2, max_pending_rows=1000)
    busy_at_100_rows_a_second(backlog, clock, left_rows=1)

    for _ in range(100):  # its workers are gone: one request after the other gives up
        backlog.enter(ADA, IRIS, 1)
        clock.now += 5
        backlog.leave(ADA, IRIS, 1, answered=False)
    backlog.enter(ADA, IRIS, 1)
    clock.now += 1

    with pytest.raises(ModelBusy) as by_age:
        backlog.check(BOB, IRIS, left_s=60)
    with pytest.raises(ModelBusy) as by_rows:
        backlog.enter(BOB, IRIS, 1000)
    assert by_age.value.retry_after_s == 59  # when a second of that minute is left
    assert by_rows.value.retry_after_s == 30


def test_one_tenant_cannot_have_all_that_may_wait():
    backlog = bounded(max_pending_requests=20)
    for _ in range(10):
        backlog.enter(ADA, IRIS, 1)

    with pytest.raises(ModelBusy, match="your requests"):
        backlog.check(ADA, WINE, left_s=60)
    backlog.check(BOB, IRIS, left_s=60)


def test_tenants_share_what_may_wait(clock):  # noqa: ARG001  nothing goes by
    backlog = bounded(max_pending_requests=40)
    for _ in range(20):
        backlog.enter(ADA, IRIS, 1)
    backlog.enter(BOB, IRIS, 1)

    for _ in range(9):  # of half of the 40, there are ten for each of the two
        backlog.check(BOB, IRIS, left_s=60)
        backlog.enter(BOB, IRIS, 1)

    with pytest.raises(ModelBusy):
        backlog.check(BOB, IRIS, left_s=60)


def test_tenants_with_nothing_waiting_take_nobodys_share():
    backlog = bounded(max_pending_requests=40)
    for _ in range(20):
        backlog.enter(ADA, IRIS, 1)

    for _ in range(100):  # they look, and what they send does not fit the model
        backlog.check(uuid4(), IRIS, left_s=60)

    backlog.check(BOB, IRIS, left_s=60)
    backlog.enter(BOB, IRIS, 1)
    backlog.check(BOB, IRIS, left_s=60)


def test_no_number_of_tenants_can_have_more_waiting_than_the_process_allows():
    backlog = bounded(max_pending_requests=40)

    for _ in range(40):
        tenant = uuid4()
        backlog.check(tenant, IRIS, left_s=60)
        backlog.enter(tenant, IRIS, 1)

    with pytest.raises(ModelBusy, match="too many requests wait"):
        backlog.check(uuid4(), IRIS, left_s=60)


def test_it_knows_which_versions_are_waited_for(clock):
    backlog = bounded()
    backlog.enter(ADA, IRIS, 1)
    backlog.enter(ADA, WINE, 1)
    backlog.leave(ADA, IRIS, 1, answered=True)

    assert backlog.waited_for() == [WINE]
    clock.now += 3600
    assert backlog.waited_for() == [WINE]
