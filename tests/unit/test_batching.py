"""How large calls get, how long they wait for company, and when one is given up."""

import pytest

from shared.catalog.model_settings import ModelSettings
from shared.predictions.wire import Request
from shared.settings import Settings
from workers.predict.batching import Batching
from workers.predict.calls import Call
from workers.predict.taken import Entry, Taken

PLATFORM = Settings(
    database_url="postgresql+asyncpg://",
    redis_url="redis://",
    storage_url="file:///",
    secret_key="x" * 32,
    max_batch_rows=256,
    call_timeout_s=30.0,
)
MILLISECOND_NS = 1_000_000


def batching(usual_call_s: float | None = 0.001, **settings) -> Batching:
    return Batching(PLATFORM, ModelSettings(**settings), usual_call_s=usual_call_s)


def call(requests: int, *, left_s: float, suspect: bool = False) -> Call:
    """A call at time 0 whose callers wait so long."""
    taken = [
        Taken(
            Request(number, int(left_s * 1000), 1, ("label",), b""),
            Entry(b"1-0", 1),
            reply_to=b"replies",
            taken_at=0.0,
            age_s=0.0,
        )
        for number in range(requests)
    ]
    return Call(taken, suspect=suspect)


def test_the_models_settings_count_before_the_platforms():
    rules = batching(max_batch_rows=8, call_timeout_ms=500)

    assert (rules.max_rows, rules.limit_s(call(1, left_s=60), 0.0)) == (8, 0.5)


def test_without_any_the_platforms_count_and_a_change_counts_at_once():
    rules = batching(max_batch_rows=8)

    rules.apply(ModelSettings())

    assert (rules.max_rows, rules.limit_s(call(1, left_s=60), 0.0)) == (256, 30.0)


def test_nobody_waits_for_company_unless_the_owner_wants_it():
    assert batching().delay_s(1, oldest_at=10.0, now=10.0) <= 0


@pytest.mark.parametrize(("now", "left_s"), [(10.0, 0.005), (10.004, 0.001), (10.006, -0.001)])
def test_a_delay_counts_from_the_request_that_waited_longest(now, left_s):
    rules = batching(max_batch_delay_ms=5)

    assert rules.delay_s(1, oldest_at=10.0, now=now) == pytest.approx(left_s)


def test_a_full_call_does_not_wait_for_its_delay():
    assert batching(max_batch_delay_ms=5, max_batch_rows=8).delay_s(8, oldest_at=10.0, now=10.0) <= 0


def test_a_swift_model_gets_its_next_call_ahead_and_a_slow_one_only_if_it_is_full():
    swift, slow = batching(usual_call_s=0.0001), batching(usual_call_s=0.01)

    assert swift.fills_ahead(1)
    assert not slow.fills_ahead(255)
    assert slow.fills_ahead(256)


def test_what_a_call_takes_is_learnt():
    rules = batching(usual_call_s=None)

    for _ in range(50):
        rules.note(5 * MILLISECOND_NS)

    assert not rules.fills_ahead(1)
    rules.note(0)
    assert not rules.fills_ahead(1)


def test_a_call_alone_may_take_until_its_deadline_and_a_shared_one_half_of_it():
    rules = batching()

    assert rules.limit_s(call(1, left_s=10), 0.0) == 10
    assert rules.limit_s(call(3, left_s=10), 0.0) == 5
    assert rules.limit_s(call(1, left_s=10, suspect=True), 0.0) == 5


def test_a_short_deadline_ends_no_model_that_is_merely_slow():
    assert batching(usual_call_s=0.5).limit_s(call(1, left_s=0.01), 0.0) == 10  # twenty times the usual
    assert batching(usual_call_s=None).limit_s(call(1, left_s=0.01), 0.0) == 30
    assert batching(usual_call_s=0.001).limit_s(call(1, left_s=0.01), 0.0) == 1
