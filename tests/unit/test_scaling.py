"""When a version gets a host more or one fewer, on a clock of the test's own."""

import pytest

from workers.predict.scaling import Bounds, Load, Scaling, Step

BEAT_S = 0.5


class Watched:
    """A version under a load, looked at every half second."""

    def __init__(self) -> None:
        self.now, self.scaling = 1000.0, Scaling()

    def steps(self, seconds: float, *, bounds: Bounds | None = None, **load) -> list[Step]:
        """What is decided while the load lasts."""
        found = []
        for _ in range(int(seconds / BEAT_S)):
            self.now += BEAT_S
            found.append(self.scaling.next_step(Load(**load), bounds or Bounds(yields=True), now=self.now))
        return [step for step in found if step is not None]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_host_comes_when_all_are_busy_for_two_seconds_and_rows_wait(watched):
    assert watched.steps(2.0, busy=0.95, waiting_rows=5, hosts=1) == []
    assert watched.steps(0.5, busy=0.95, waiting_rows=5, hosts=1) == [Step.ADD]


def test_a_short_calm_begins_the_wait_anew(watched):
    watched.steps(1.5, busy=0.95, waiting_rows=5, hosts=1)
    watched.steps(0.5, busy=0.5, waiting_rows=5, hosts=1)

    assert watched.steps(2.0, busy=0.95, waiting_rows=5, hosts=1) == []


def test_busy_hosts_that_nobody_waits_for_are_enough(watched):
    assert watched.steps(60, busy=1.0, waiting_rows=0, hosts=1) == []


def test_after_a_host_has_come_the_next_must_be_earned(watched):
    assert watched.steps(2.5, busy=1, waiting_rows=9, hosts=1) == [Step.ADD]

    assert watched.steps(2.0, busy=1, waiting_rows=9, hosts=2) == []
    assert watched.steps(0.5, busy=1, waiting_rows=9, hosts=2) == [Step.ADD]


def test_without_room_here_others_are_asked(watched):
    steps = watched.steps(2.5, busy=1, waiting_rows=9, hosts=2, bounds=Bounds(room=False))

    assert steps == [Step.ASK]


def test_the_owner_says_how_many_there_may_be_over_all_workers(watched):
    bounds = Bounds(most=3, yields=True)

    assert watched.steps(10, busy=1, waiting_rows=9, hosts=2, elsewhere=1, bounds=bounds) == []


def test_what_is_more_than_the_owner_allows_goes_at_once(watched):
    bounds = Bounds(most=1, yields=True)

    assert watched.steps(0.5, busy=1, waiting_rows=9, hosts=2, bounds=bounds) == [Step.REMOVE]
    assert watched.steps(0.5, busy=1, waiting_rows=9, hosts=1, elsewhere=1, bounds=bounds) == [Step.LEAVE]


def test_only_the_worker_whose_turn_it_is_lets_go(watched):
    bounds = Bounds(most=1, yields=False)

    assert watched.steps(90, busy=0, waiting_rows=0, hosts=1, elsewhere=1, bounds=bounds) == []


def test_an_idle_host_goes_after_half_a_minute(watched):
    assert watched.steps(30, busy=0.1, waiting_rows=0, hosts=2) == []
    assert watched.steps(0.5, busy=0.1, waiting_rows=0, hosts=2) == [Step.REMOVE]


def test_the_only_host_stays_however_idle(watched):
    assert watched.steps(600, busy=0, waiting_rows=0, hosts=1) == []


def test_pinned_hosts_stay_however_idle(watched):
    assert watched.steps(600, busy=0, waiting_rows=0, hosts=2, bounds=Bounds(least=2, yields=True)) == []


def test_a_worker_leaves_an_idle_version_to_another_after_a_minute(watched):
    assert watched.steps(60, busy=0, waiting_rows=0, hosts=1, elsewhere=1) == []
    assert watched.steps(0.5, busy=0, waiting_rows=0, hosts=1, elsewhere=1) == [Step.LEAVE]


def test_between_busy_and_idle_nothing_changes(watched):
    assert watched.steps(600, busy=0.5, waiting_rows=3, hosts=2) == []


def test_a_host_that_was_missed_at_once_is_kept_longer_the_next_time(watched):
    watched.steps(30.5, busy=0.1, waiting_rows=0, hosts=2)  # removed
    watched.steps(2.5, busy=1, waiting_rows=9, hosts=1)  # and missed

    assert watched.steps(60, busy=0.1, waiting_rows=0, hosts=2) == []
    assert watched.steps(0.5, busy=0.1, waiting_rows=0, hosts=2) == [Step.REMOVE]
