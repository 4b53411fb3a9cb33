"""Predictions on the wire: whatever a client writes, the lane and the ordinary way answer alike."""

import asyncio
import signal
import sys
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from itertools import count

import cloudpickle
import numpy as np
import psutil
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier

from tests.fixtures.napping import napping_model, row

MIB = 1024 * 1024

numbers = count(1)  # a row that was never asked is in no cache


@pytest.fixture(scope="module")
async def api(serving, tmp_path_factory):
    with ExitStack() as stack:
        yield await serving.start_api(stack, tmp_path_factory.mktemp("api"), max_pending_rows=8000)


@pytest.fixture(scope="module")
async def nap(serving) -> str:
    """A model that naps as rows ask for; its stream."""
    return await serving.upload("nap", napping_model())


@pytest.fixture(scope="module")
async def warm(api, nap):  # noqa: ARG001  the model must be there
    """The API, to which model and caller are known: what may take the lane takes it."""
    async with api.client() as client:
        answer = await client.post("/api/v1/predict/nap", json={"input": row(next(numbers))})
    assert answer.status_code == 200, answer.text
    return api


@pytest.fixture
async def line(warm):
    return await warm.connect()


def asking(number: float, **more) -> dict:
    return {"input": row(number, **more)}


async def wait_until(look, *, within_s: float = 15) -> None:
    async with asyncio.timeout(within_s):
        while not await look():
            await asyncio.sleep(0.02)


async def test_a_connection_carries_one_request_after_the_other(warm, line):
    for number in range(1000, 1200):
        answer = await line.ask(warm.post("nap", asking(number)))

        assert (answer.status, answer.json()["prediction"]) == (200, number)
        assert "connection" not in answer.headers


async def test_an_answer_says_when_which_and_how_long(warm, line):
    answer = await line.ask(warm.post("nap", asking(next(numbers)), "X-Request-Id: find-Me/7"))

    assert answer.headers["x-request-id"] == "find-Me/7"
    assert answer.headers["content-type"] == "application/json"
    assert parsedate_to_datetime(answer.headers["date"]).tzinfo is not None
    assert answer.headers["server-timing"].startswith("queue;dur=")
    assert answer.headers["ratelimit-policy"] == '"predict";q=1000000;w=60'


async def test_an_id_that_cannot_be_logged_is_replaced(warm, line):
    answers = [
        await line.ask(warm.post("nap", asking(next(numbers)), f"X-Request-Id: {given}"))
        for given in ("two words", "x" * 129, "<script>")
    ]

    assert all(len(answer.headers["x-request-id"]) == 32 for answer in answers)


async def test_lane_and_ordinary_way_take_turns_on_a_connection(warm, line):
    for chunked in [False, True] * 5:
        number = next(numbers)
        answer = await line.ask(warm.post("nap", asking(number), chunked=chunked))
        assert (answer.status, answer.json()["prediction"]) == (200, number)


@pytest.mark.parametrize("ways", [(False, False), (False, True), (True, False), (True, True)], ids=str)
async def test_requests_that_follow_without_waiting_are_answered_in_order(warm, line, ways):
    slow, swift, last = next(numbers), next(numbers), next(numbers)

    await line.send(
        warm.post("nap", asking(slow, nap_s=0.3), chunked=ways[0])
        + warm.post("nap", asking(swift), chunked=ways[1])
        + warm.post("nap", asking(last))
    )
    answers = [await line.answer() for _ in range(3)]

    assert [answer.json()["prediction"] for answer in answers] == [slow, swift, last]


async def test_many_requests_in_one_segment_are_all_answered(warm, line):
    asked = [next(numbers) for _ in range(50)]

    await line.send(b"".join(warm.post("nap", asking(number)) for number in asked))

    assert [(await line.answer()).json()["prediction"] for _ in asked] == asked


async def test_a_wrong_request_does_not_cost_those_behind_it_their_answers(warm, line):
    number = next(numbers)

    await line.send(warm.post("nap", b"{") + warm.post("nap", asking(number)))
    wrong, right = await line.answer(), await line.answer()

    assert (wrong.status, wrong.code) == (400, "malformed_json")
    assert right.json()["prediction"] == number


async def test_a_body_may_come_in_many_segments(warm, line):
    number = next(numbers)
    request = warm.post("nap", asking(number))

    answer = await line.ask(*[request[at : at + 1] for at in range(len(request))])

    assert (answer.status, answer.json()["prediction"]) == (200, number)


async def test_a_body_too_large_for_the_lane_is_answered_like_any_other(warm, line):
    number, behind = next(numbers), next(numbers)
    rows = b",".join([b"[%d, 0.0000000000, 0.0000000000]" % number] * 3000)  # some 90 kB

    await line.send(warm.post("nap", b'{"inputs": [' + rows + b"]}") + warm.post("nap", asking(behind)))
    answer = await line.answer()

    assert answer.json()["predictions"] == [number] * 3000
    assert (await line.answer()).json()["prediction"] == behind


async def test_chunks_are_a_body_too(warm, line):
    number = next(numbers)

    answer = await line.ask(warm.post("nap", asking(number), chunked=True))

    assert (answer.status, answer.json()["prediction"]) == (200, number)


async def test_a_client_of_http_1_0_is_answered_and_left(warm, line):
    number = next(numbers)

    answer = await line.ask(warm.post("nap", asking(number), version="1.0"))

    assert (answer.status, answer.json()["prediction"]) == (200, number)
    assert await line.ended()


async def test_a_client_that_wants_to_close_is_answered_and_left(warm, line):
    number = next(numbers)

    answer = await line.ask(warm.post("nap", asking(number), "Connection: close"))

    assert (answer.status, answer.json()["prediction"]) == (200, number)
    assert answer.headers["connection"] == "close"
    assert await line.ended()


async def test_what_is_wrong_is_told_before_a_connection_closes_too(warm, line):
    answer = await line.ask(warm.post("nap", {"input": []}, "Connection: close"))

    assert (answer.status, answer.headers["connection"]) == (422, "close")
    assert await line.ended()


async def test_who_asks_whether_to_send_the_body_is_told_to(warm, line):
    number = next(numbers)
    request = warm.post("nap", asking(number), "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")

    await line.send(head + b"\r\n\r\n")
    assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    assert (await line.ask(body)).json()["prediction"] == number


async def test_who_would_rather_be_answered_later_gets_a_job_between_answers(warm, line):
    before, after = next(numbers), next(numbers)

    await line.send(
        warm.post("nap", asking(before), "Prefer: wait=5")
        + warm.post("nap", asking(after), "Prefer: respond-async")
        + warm.post("nap", asking(after), "Prefer: respond-async", chunked=True)
        + warm.post("nap", asking(after), "Prefer: wait=20", "Prefer: respond-async")
    )
    at_once, job, other_job, in_time = [await line.answer() for _ in range(4)]

    assert (at_once.status, at_once.json()["prediction"]) == (200, before)
    assert (job.status, other_job.status) == (202, 202)
    assert job.headers["location"] == f"/api/v1/jobs/{job.json()['id']}"
    assert job.headers["preference-applied"] == "respond-async"
    assert (in_time.status, in_time.json()["prediction"]) == (200, after)


async def test_what_is_wrong_is_told_the_same_to_those_who_can_wait(warm, line):
    for body in (b"", b"{", b'{"input": [1, 1]}', b'{"input": [1, "wide", 1]}', b'{"inputs": []}'):
        in_lane = await line.ask(warm.post("nap", body))
        later = await line.ask(warm.post("nap", body, "Prefer: respond-async"))

        assert (later.status, later.json()["detail"]) == (in_lane.status, in_lane.json()["detail"])


async def test_a_name_may_be_percent_encoded(warm, line):
    number = next(numbers)

    answer = await line.ask(warm.post("%6E%61p", asking(number)))

    assert (answer.status, answer.json()["prediction"]) == (200, number)


WRONG_BODIES = {
    "nothing": b"",
    "half": b"{",
    "bytes": b"\xff\xfe",
    "nan": b'{"input": [NaN, 1, 1]}',
    "deep": b'{"input": ' + b"[" * 50_000,
    "no object": b"[]",
    "no rows": b'{"inputs": []}',
    "both": b'{"input": [1, 1, 1], "inputs": [[1, 1, 1]]}',
    "neither": b"{}",
    "too few": b'{"input": [1, 1]}',
    "text": b'{"input": [1, "wide", 1]}',
    "null": b'{"input": null}',
    "unknown key": b'{"input": [1, 1, 1], "colour": "red"}',
    "no such output": b'{"input": [1, 1, 1], "outputs": ["entropy"]}',
    "no such version": b'{"input": [1, 1, 1], "version": 99}',
    "version of a type": b'{"input": [1, 1, 1], "version": "one"}',
    "too many rows": b'{"inputs": [' + b",".join([b"[1,1,1]"] * 8100) + b"]}",
}


def told(answer) -> tuple:
    """All that an answer says, but for what is another each time."""
    problem = answer.json() | {"request_id": ""}
    names = answer.headers.keys() - {"date", "x-request-id", "content-length"}
    return answer.status, {name: answer.headers[name] for name in names}, problem


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
async def test_a_wrong_body_is_told_the_same_either_way(warm, line, body):
    in_lane = await line.ask(warm.post("nap", body))
    ordinary = await line.ask(warm.post("nap", body, chunked=True))

    assert 400 <= in_lane.status < 500
    assert told(in_lane) == told(ordinary)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("X-Deadline-Ms: soon", 400),
        ("X-Deadline-Ms: 0", 400),
        ("Inference-Header-Content-Length: x", 400),
        ("Content-Type: application/vnd.apache.arrow.stream", 400),
        ("Cache-Control: only-if-cached", 504),
        ("X-API-Key: another", 401),
        ("Authorization: Bearer another", 401),
    ],
)
async def test_a_wrong_header_is_told_the_same_either_way(warm, line, header, status):
    body = asking(next(numbers))

    in_lane = await line.ask(warm.post("nap", body, header))
    ordinary = await line.ask(warm.post("nap", body, header, chunked=True))

    assert in_lane.status == status, in_lane.body
    assert told(in_lane) == told(ordinary)


@pytest.mark.parametrize("model", ["", "nap/none", "none", "%00", "n%ffp", "nap?version=1"])
async def test_a_path_is_read_the_same_either_way(warm, line, model):
    body = {"input": [1, 1, 1], "version": 99}

    in_lane = await line.ask(warm.post(model, body))
    ordinary = await line.ask(warm.post(model, body, chunked=True))

    assert in_lane.status == 404
    assert told(in_lane) == told(ordinary)


class Fickle(ClassifierMixin, BaseEstimator):
    """Forgets one of its classes over a row of tens."""

    def __init__(self) -> None:
        self.classes_, self.n_features_in_ = np.array([0, 1, 2]), 3

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def predict_proba(self, X):
        return np.full((len(X), 2 if (X == 10).all() else 3), 0.5)


async def test_an_answer_that_does_not_fit_the_model_is_told_the_same_either_way(warm, line, serving):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    await serving.upload("fickle", cloudpickle.dumps(Fickle()))
    good, bad = ({"input": [number] * 3, "outputs": ["probabilities"]} for number in (1, 10))
    assert (await line.ask(warm.post("fickle", good))).status == 200

    in_lane = await line.ask(warm.post("fickle", bad))
    ordinary = await line.ask(warm.post("fickle", bad, chunked=True))

    assert (in_lane.status, in_lane.code) == (422, "model_failed")
    assert told(in_lane) == told(ordinary)
    assert (await line.ask(warm.post("fickle", good))).status == 200


async def test_a_key_is_taken_from_either_header(warm, line):
    async with warm.client() as client:
        key = (await client.post("/api/v1/api-keys", json={"name": "k"})).json()["secret"]

    for _ in range(2):  # the second time it is known
        number = next(numbers)
        as_bearer = await line.ask(warm.post("nap", asking(number), token=key))
        as_key = await line.ask(warm.post("nap", asking(number), f"X-API-Key: {key}", token=""))
        assert as_bearer.json()["prediction"] == as_key.json()["prediction"] == number


async def test_without_any_key_nobody_is_answered(warm, line):
    answer = await line.ask(warm.post("nap", asking(1), token=""))

    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_request_that_ran_out_of_time_is_told_so(warm, line):
    answer = await line.ask(warm.post("nap", asking(next(numbers), nap_s=1), "X-Deadline-Ms: 100"))

    assert (answer.status, answer.code) == (504, "deadline_exceeded")


async def test_rubbish_ends_the_connection_and_nothing_else(warm, line):
    other = await warm.connect()
    number = next(numbers)

    assert (await line.ask(b"POST /api/v1/predict/nap HTTP/1.1\r\nno header\r\n\r\n")).status == 400
    assert await line.ended()
    assert (await other.ask(warm.post("nap", asking(number)))).json()["prediction"] == number


async def test_a_client_that_leaves_before_its_body_is_complete_costs_nothing(warm):
    number = next(numbers)
    leaving, staying = await warm.connect(), await warm.connect()

    await leaving.send(warm.post("nap", asking(next(numbers)))[:-5])
    leaving.leave()

    assert (await staying.ask(warm.post("nap", asking(number)))).json()["prediction"] == number


async def outcomes(api, outcome: str) -> float:
    """Predictions that ended so."""
    samples = await api.metrics()
    return sum(
        value
        for labels, value in samples.items()
        if labels[0] == "modelyard_predict_requests_total" and outcome in labels
    )


async def rows_computed(api) -> float:
    return (await api.metrics()).get(("modelyard_predict_batch_rows_sum",), 0.0)


async def settled(look) -> float:
    """A count of other processes, once it has not changed for longer than they take to tell it."""
    before, now = -1.0, await look()
    while now != before:
        await asyncio.sleep(2.5)
        before, now = now, await look()
    return now


@pytest.mark.parametrize("chunked", [False, True])
async def test_requests_of_clients_that_left_are_not_computed(warm, serving, nap, chunked):
    computed, cancelled = await settled(lambda: rows_computed(warm)), await outcomes(warm, "cancelled")
    busy, staying = await warm.connect(), await warm.connect()
    leaving = [await warm.connect() for _ in range(20)]
    await busy.send(warm.post("nap", asking(next(numbers), nap_s=1.5)))
    await asyncio.sleep(0.2)  # until the model naps

    for line in leaving:
        await line.send(warm.post("nap", asking(next(numbers)), chunked=chunked))
    await asyncio.sleep(0.2)  # until they wait in the stream
    for line in leaving:
        line.leave()
    await asyncio.sleep(0.2)
    last = await staying.ask(warm.post("nap", asking(next(numbers))))

    assert (await busy.answer()).status == last.status == 200
    assert await settled(lambda: rows_computed(warm)) - computed == 2
    assert await outcomes(warm, "cancelled") - cancelled == 20
    assert await serving.redis.xlen(nap) == 0


async def test_a_request_in_the_lane_is_answered_before_the_process_stops(serving, stack, tmp_path, nap):
    api = await serving.start_api(stack, tmp_path, drain_s=0.1)
    line, number = await api.connect(), next(numbers)
    await line.ask(api.post("nap", asking(next(numbers))))
    await line.send(api.post("nap", asking(number, nap_s=1.5)))
    await wait_until(lambda: serving.redis.xlen(nap))

    api.process.popen.send_signal(signal.SIGTERM)
    answer = await line.answer()

    assert (answer.status, answer.json()["prediction"]) == (200, number)
    assert answer.headers["connection"] == "close"
    assert await api.process.wait_until_ended() == 0


async def test_answers_do_not_pile_up_for_a_client_that_reads_none(warm, serving):
    wordy = DummyClassifier(strategy="constant", constant="x" * 200).fit([[0.0]], ["x" * 200])
    await serving.upload("wordy", wordy)
    line = await warm.connect(receive_bytes=4096)
    request = warm.post("wordy", b'{"inputs": [' + b",".join([b"[1]"] * 8000) + b"]}")
    await line.ask(request)
    process = psutil.Process(warm.process.popen.pid)
    held = process.memory_info().rss

    for _ in range(60):  # their answers are 97 MB
        await line.send(request)
        await asyncio.sleep(0.1)  # so that each is answered before the next comes

    assert process.memory_info().rss - held < 30 * MIB
    for _ in range(60):
        assert len((await line.answer()).json()["predictions"]) == 8000


async def test_requests_do_not_pile_up_for_a_client_that_sends_too_many(warm, line):
    request = warm.post("nap", {"inputs": [row(1)] * 2000})
    await line.ask(request)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 3000:  # they are 70 MB
            await line.send(request)
            sent += 1

    flooding = asyncio.create_task(flood())
    await asyncio.wait([flooding], timeout=4)
    assert not flooding.done()

    assert {len((await line.answer()).json()["predictions"]) for _ in range(3000)} == {2000}
