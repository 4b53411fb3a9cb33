"""Which requests share a call of the model, and in which order calls come."""

import struct
from itertools import count
from uuid import uuid4

import pytest

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.predictions.wire import Request
from workers.predict.artifact import Artifact
from workers.predict.calls import MAX_CALL_BYTES, Call, Waiting
from workers.predict.served_version import _stack
from workers.predict.taken import Entry, Taken

BOTH = ("label", "probabilities")


@pytest.fixture
def taken():
    """Makes requests, each a second later than the one before."""
    seconds = count()

    def make(
        request_id: int, rows: int = 1, outputs: tuple[str, ...] = ("label",), body: bytes = b""
    ) -> Taken:
        request = Request(request_id, 5000, rows, outputs, body)
        return Taken(request, Entry(b"1-0", 1), reply_to=b"replies", taken_at=next(seconds), age_s=0.0)

    return make


def waiting(*requests: Taken) -> Waiting:
    line = Waiting()
    for request in requests:
        line.add(request)
    return line


def all_calls(line: Waiting, *, max_rows: int) -> list[list[int]]:
    calls = []
    while line:
        calls.append([one.request.id for one in line.next_call(max_rows).requests])
    return calls


def test_what_waits_together_is_predicted_together(taken):
    line = waiting(taken(1), taken(2, rows=3), taken(3))

    assert line.rows == 5
    assert all_calls(line, max_rows=10) == [[1, 2, 3]]
    assert line.rows == 0


def test_requests_of_large_arrays_share_a_call_only_up_to_its_bytes(taken):
    half = bytes(MAX_CALL_BYTES // 2)
    line = waiting(taken(1, body=half), taken(2, body=half), taken(3), taken(4, body=half + half + b"x"))

    assert all_calls(line, max_rows=10) == [[1, 2, 3], [4]]


def test_a_call_holds_no_more_rows_than_it_may(taken):
    line = waiting(taken(1, rows=4), taken(2, rows=4), taken(3, rows=4))

    assert all_calls(line, max_rows=8) == [[1, 2], [3]]


def test_a_request_over_the_bound_is_a_call_of_its_own(taken):
    assert all_calls(waiting(taken(1), taken(2, rows=50), taken(3)), max_rows=8) == [[1], [2], [3]]


def test_requests_for_different_outputs_are_never_mixed_and_none_overtakes_for_long(taken):
    line = waiting(taken(1), taken(2, outputs=BOTH), taken(3), taken(4, outputs=BOTH))

    assert all_calls(line, max_rows=8) == [[1, 3], [2, 4]]


def test_a_call_to_be_done_again_comes_before_all_else(taken):
    line = waiting(taken(3))

    line.add_again(Call([taken(1)]), Call([taken(2)]))

    assert all_calls(line, max_rows=8) == [[1], [2], [3]]


def test_each_request_gets_back_the_rows_that_it_sent(taken):
    call = Call([taken(1, rows=2), taken(2, rows=1), taken(3, rows=3)])

    assert [rows for _, rows in call.row_slices()] == [slice(0, 2), slice(2, 3), slice(3, 6)]


def test_halving_loses_nobody_and_remembers_how_often_it_was_tried(taken):
    first, second = Call([taken(1), taken(2), taken(3)], tries=1).halves()

    assert [[one.request.id for one in half.requests] for half in (first, second)] == [[1], [2, 3]]
    assert (first.tries, second.tries) == (1, 1)


def test_a_call_that_hung_is_taken_apart_into_suspects(taken):
    parts = Call([taken(1), taken(2)]).apart(suspect=True)

    assert [(part.requests[0].request.id, part.suspect) for part in parts] == [(1, True), (2, True)]


def test_a_call_that_its_host_died_of_comes_after_those_that_may_be_its_victims(taken):
    line = waiting(taken(3))

    line.add_last_again(Call([taken(2)], suspect=True).once_more())
    line.add_again(Call([taken(1)]))
    calls = [line.next_call(8) for _ in range(3)]

    assert [(c.requests[0].request.id, c.tries, c.suspect) for c in calls] == [
        (1, 0, False),
        (2, 1, True),
        (3, 0, False),
    ]


def test_whoever_waits_can_be_told_all_at_once(taken):
    line = waiting(taken(1), taken(2, outputs=BOTH))
    line.add_again(Call([taken(3)]))

    assert sorted(one.request.id for one in line.take_all()) == [1, 2, 3]
    assert not line


def test_arrays_of_several_requests_reach_the_host_as_one_call(taken):
    """Of each input all rows, whoever sent them; the second request has two rows."""
    inputs = [
        Column(name="image", datatype=Datatype.FP32, shape=[3]),
        Column(name="age", datatype=Datatype.INT64),
    ]
    signature = Signature(inputs=inputs, named=True, layout=Layout.TENSORS, outputs=[])
    artifact = Artifact(version_id=uuid4(), model_id=uuid4(), artifact_key="", signature=signature)
    first = struct.pack("<3f4xq", 1, 2, 3, 7)
    second = struct.pack("<6f2q", 4, 5, 6, 7, 8, 9, 8, 9)

    call = _stack(Call([taken(1, body=first), taken(2, rows=2, body=second)]), artifact)

    assert (call.rows, call.matrix, call.columns) == (3, None, None)
    assert b"".join(call.tensors) == struct.pack("<9f4x3q", *range(1, 10), 7, 8, 9)
