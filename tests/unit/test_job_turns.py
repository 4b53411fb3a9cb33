"""In which order a worker looks for work."""

from collections import Counter

from shared.jobs.job import Priority
from shared.jobs.turns import in_turn

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


def test_nothing_waits_for_ever_behind_what_is_more_urgent():
    firsts = Counter(in_turn([*Priority], turn)[0] for turn in range(32))

    assert firsts == {HIGH: 24, NORMAL: 6, LOW: 2}


def test_what_is_more_urgent_follows_whatever_had_its_turn():
    orders = {tuple(in_turn([*Priority], turn)) for turn in range(16)}

    assert orders == {(HIGH, NORMAL, LOW), (NORMAL, HIGH, LOW), (LOW, HIGH, NORMAL)}


def test_a_worker_of_some_priorities_looks_for_no_others():
    assert in_turn([LOW, NORMAL], 0) == [NORMAL, LOW]
    assert [in_turn([LOW], turn) for turn in range(16)] == [[LOW]] * 16
