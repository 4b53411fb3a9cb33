"""Which requests share a call of the model."""

from shared.predictions.wire import Request
from workers.predict.calls import halves, plan_calls, row_slices, rows_of
from workers.predict.request_queue import Taken


def taken(request_id: int, rows: int = 1, outputs: tuple[str, ...] = ("label",)) -> Taken:
    return Taken(Request(request_id, 5000, rows, outputs, b""), "replies", 0.0)


def ids(calls) -> list[list[int]]:
    return [[one.request.id for one in call] for call in calls]


def test_what_waits_together_is_predicted_together():
    calls = list(plan_calls([taken(1), taken(2, rows=3), taken(3)], max_rows=10))

    assert ids(calls) == [[1, 2, 3]]
    assert rows_of(calls[0]) == 5


def test_a_call_holds_no_more_rows_than_it_may():
    calls = plan_calls([taken(1, rows=4), taken(2, rows=4), taken(3, rows=4)], max_rows=8)

    assert ids(calls) == [[1, 2], [3]]


def test_a_request_over_the_bound_is_a_call_of_its_own():
    calls = plan_calls([taken(1), taken(2, rows=50), taken(3)], max_rows=8)

    assert ids(calls) == [[1], [2], [3]]


def test_requests_for_different_outputs_are_never_mixed():
    both = ("label", "probabilities")

    calls = plan_calls([taken(1), taken(2, outputs=both), taken(3), taken(4, outputs=both)], max_rows=8)

    assert sorted(ids(calls)) == [[1, 3], [2, 4]]


def test_each_request_gets_back_the_rows_that_it_sent():
    call = [taken(1, rows=2), taken(2, rows=1), taken(3, rows=3)]

    slices = [rows for _, rows in row_slices(call)]

    assert slices == [slice(0, 2), slice(2, 3), slice(3, 6)]


def test_halving_loses_nobody():
    first, second = halves([taken(1), taken(2), taken(3)])

    assert ids([first, second]) == [[1], [2, 3]]
