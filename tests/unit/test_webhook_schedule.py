import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.retry_after import retry_after_s
from shared.webhooks.schedule import delay_after

HOUR_S = 3600


def test_the_delays_are_those_of_standard_webhooks():
    delays = [delay_after(n, retry_after_s=None, chance=0) for n in range(11)]

    hours = [2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S, 20 * HOUR_S, 24 * HOUR_S]
    assert delays == [0, 5, 300, 1800, *hours, None]


def test_a_receiver_that_never_answers_is_tried_ten_times_within_three_days_and_a_bit():
    clock_s, attempted_at_s, attempts = 0, [], 0

    while (delay_s := delay_after(attempts, retry_after_s=None, chance=0)) is not None:
        clock_s += delay_s
        attempted_at_s.append(clock_s)
        attempts += 1

    minutes = [0, 5 / 60, 5 + 5 / 60, 35 + 5 / 60, *(35 + 5 / 60 + 60 * h for h in (2, 7, 17, 31, 51, 75))]
    assert attempted_at_s == pytest.approx([minute * 60 for minute in minutes])


@given(attempts=st.integers(1, 9), chance=st.floats(0, 1))
def test_jitter_lengthens_a_delay_by_at_most_a_tenth(attempts: int, chance: float):
    plain = delay_after(attempts, retry_after_s=None, chance=0)

    assert plain <= delay_after(attempts, retry_after_s=None, chance=chance) <= plain * 1.1


@pytest.mark.parametrize(
    ("asked_s", "delay_s"),
    [
        (60, 60),
        (1, 5),
        (-10, 5),
        (0, 5),
        (24 * HOUR_S, 24 * HOUR_S),
        (1e9, 24 * HOUR_S),
        (float("inf"), 24 * HOUR_S),
    ],
)
def test_a_receiver_can_ask_for_a_longer_delay_within_a_day(asked_s: float, delay_s: float):
    assert delay_after(1, retry_after_s=asked_s, chance=0) == delay_s


def test_nothing_lengthens_the_end_of_the_schedule():
    assert delay_after(10, retry_after_s=60, chance=0) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:29 GMT", "date": "Fri, 31 Dec 1999 23:59:59 GMT"}, -30),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 -0000", "date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "Fri, 99 Foo 1999 23:59:59 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None):
    assert retry_after_s(headers) == seconds
