"""The cache as clients meet it: what an answer says of it, and what a request may say to it."""

import asyncio
import io
from itertools import count

import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier

from tests.fixtures.napping import napping_model, row
from tests.fixtures.platform import find_free_port
from tests.fixtures.serving import make_caller

ARROW = "application/vnd.apache.arrow.stream"

numbers = count(1)


@pytest.fixture(scope="module")
async def nap(serving) -> str:
    """A model that naps as rows ask for; its stream."""
    return await serving.upload("nap", napping_model())


@pytest.fixture
async def client(api, nap):  # noqa: ARG001  the model must be there
    async with api.client() as client:
        yield client


def predict(client, given, *, model="nap", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/api/v1/predict/{model}", json={"input": given}, headers=names)


async def stored(client, given, **more) -> None:
    """Have the reply stored; a process knows only after a moment that there is room for it."""
    async with asyncio.timeout(10):
        while (await predict(client, given, **more)).headers["cache-status"] == "modelyard; fwd=miss":
            await asyncio.sleep(0.05)


async def test_an_equal_request_is_answered_out_of_the_cache(client):
    given = row(next(numbers))
    await stored(client, row(next(numbers)))

    first = await predict(client, given)
    second = await predict(client, given)

    assert first.headers["cache-status"] == "modelyard; fwd=miss; stored"
    assert (first.json()["cached"], "age" in first.headers) == (False, False)
    assert second.headers["cache-status"] in ("modelyard; hit; ttl=299", "modelyard; hit; ttl=300")
    assert (second.json()["cached"], int(second.headers["age"]) <= 1) == (True, True)
    assert second.json()["prediction"] == first.json()["prediction"] == given[0]
    assert second.headers["ratelimit"].startswith('"predict";r=99999')


async def test_the_form_of_the_body_does_not_matter(client):
    given = row(next(numbers))
    await stored(client, given)
    written = io.BytesIO()
    batch = pa.record_batch({f"x{at}": [float(value)] for at, value in enumerate(given)})
    with pa.ipc.new_stream(written, batch.schema) as stream:
        stream.write_batch(batch)

    answer = await client.post(
        "/api/v1/predict/nap", content=written.getvalue(), headers={"Content-Type": ARROW}
    )

    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-status"].startswith("modelyard; hit")
    assert answer.json()["predictions"] == [given[0]]


async def test_other_rows_and_other_outputs_are_other_questions(client, serving):
    await serving.upload("two", DummyClassifier(strategy="constant", constant=1).fit([[0.0]] * 2, [1, 2]))
    await stored(client, [5], model="two")

    other_row = await predict(client, [6], model="two")
    other_outputs = await client.post(
        "/api/v1/predict/two", json={"input": [5], "outputs": ["probabilities"]}
    )

    assert other_row.headers["cache-status"].startswith("modelyard; fwd=miss")
    assert other_outputs.headers["cache-status"].startswith("modelyard; fwd=miss")


async def test_no_cache_computes_anew_and_replaces_what_was_stored(client):
    given = row(next(numbers))
    await stored(client, given)
    await asyncio.sleep(1.1)

    anew = await predict(client, given, Cache_Control="no-cache")
    after = await predict(client, given)

    assert anew.headers["cache-status"] == "modelyard; fwd=request; stored"
    assert anew.json()["cached"] is False
    assert (after.json()["cached"], after.headers["age"]) == (True, "0")


async def test_no_store_stores_nothing(client):
    given = row(next(numbers))
    await stored(client, row(next(numbers)))

    first = await predict(client, given, Cache_Control="no-store")
    second = await predict(client, given)

    assert first.headers["cache-status"] == second.headers["cache-status"].removesuffix("; stored")
    assert (first.json()["cached"], second.json()["cached"]) == (False, False)


async def test_a_stored_reply_may_be_too_old(client):
    given = row(next(numbers))
    await stored(client, given)
    await asyncio.sleep(1.1)

    assert (await predict(client, given, Cache_Control="max-age=60")).json()["cached"] is True
    assert (await predict(client, given, Cache_Control="min-fresh=400")).json()["cached"] is False
    await asyncio.sleep(1.1)
    assert (await predict(client, given, Cache_Control="max-age=0")).json()["cached"] is False


async def test_only_if_cached_has_nothing_computed(client):
    given = row(next(numbers))

    missed = await predict(client, given, Cache_Control="only-if-cached")
    await stored(client, given)
    hit = await predict(client, given, Cache_Control="only-if-cached")

    assert (missed.status_code, missed.json()["code"]) == (504, "not_cached")
    assert (hit.status_code, hit.json()["cached"]) == (200, True)


async def test_the_owner_of_a_model_switches_its_cache_off_and_on(client, serving):
    await serving.upload("switched", napping_model())
    given = row(next(numbers))
    await stored(client, given, model="switched")

    async def until(status: str) -> None:
        async with asyncio.timeout(1):
            while (
                not (await predict(client, given, model="switched"))
                .headers["cache-status"]
                .startswith(status)
            ):
                await asyncio.sleep(0.02)

    for switched, status in ((False, "modelyard; fwd=bypass"), (True, "modelyard; hit")):
        await client.patch("/api/v1/models/switched", json={"settings": {"cache": switched}})
        await until(status)


async def test_a_switched_off_cache_is_no_reason_to_compute_for_who_wants_a_stored_reply(client, serving):
    await serving.upload("uncached", napping_model())
    await client.patch("/api/v1/models/uncached", json={"settings": {"cache": False}})
    assert (await predict(client, row(1), model="uncached")).status_code == 200

    for header in ("only-if-cached", "no-cache, only-if-cached"):
        answer = await predict(client, row(1), model="uncached", Cache_Control=header)
        assert (answer.status_code, answer.json()["code"]) == (504, "not_cached")


async def test_a_model_that_rolls_dice_is_not_cached(client, serving):
    await serving.upload("dice", DummyClassifier(strategy="uniform").fit([[0.0]] * 2, [1, 2]))

    answers = [await predict(client, [1], model="dice") for _ in range(40)]

    assert {answer.headers["cache-status"] for answer in answers} == {"modelyard; fwd=bypass"}
    assert {answer.json()["prediction"] for answer in answers} == {1, 2}


async def test_no_tenant_hits_what_another_asked(client, serving):
    other = await make_caller(serving.database)
    artifact = napping_model()
    await serving.upload("shared", artifact)
    await serving.uploads_of(other).add("shared", artifact)
    given = row(next(numbers))
    await stored(client, given, model="shared")

    headers = {"Authorization": f"Bearer {serving.token_of(other)}"}
    answer = await predict(client, given, model="shared", **headers)

    assert answer.headers["cache-status"].startswith("modelyard; fwd=miss")


async def test_a_new_version_answers_for_itself(client, serving):
    await serving.upload("next", DummyClassifier(strategy="constant", constant=1).fit([[0.0]] * 2, [1, 2]))
    await stored(client, [0], model="next")

    await serving.upload("next", DummyClassifier(strategy="constant", constant=2).fit([[0.0]] * 2, [1, 2]))

    async with asyncio.timeout(10):
        while (answer := (await predict(client, [0], model="next")).json())["version"] == 1:
            assert answer["prediction"] == 1
    assert (answer["version"], answer["prediction"], answer["cached"]) == (2, 2, False)


async def settled_rows(api) -> float:
    """The rows that workers computed, once that has not changed for longer than they take to tell it."""
    before, now = -1.0, 0.0
    while now != before:
        await asyncio.sleep(2.5)
        before, now = now, (await api.metrics()).get(("modelyard_predict_batch_rows_sum",), 0.0)
    return now


@pytest.mark.parametrize(("leader_leaves", "chunked"), [(False, False), (True, False), (True, True)])
async def test_equal_requests_in_flight_are_computed_once(api, client, leader_leaves, chunked):
    await predict(client, row(next(numbers)))
    computed = await settled_rows(api)
    number = next(numbers)
    request = api.post("nap", {"input": row(number, nap_s=1)}, chunked=chunked)
    lines = [await api.connect() for _ in range(20)]

    for line in lines:
        await line.send(request)
        await asyncio.sleep(0.01)
    if leader_leaves:
        lines.pop(0).leave()
    answers = [await line.answer() for line in lines]

    assert [answer.json()["prediction"] for answer in answers] == [number] * len(lines)
    collapsed = [answer for answer in answers if answer.headers["cache-status"].endswith("; collapsed")]
    assert len(collapsed) == 19
    assert await settled_rows(api) - computed == 1


async def test_what_nobody_waits_for_any_more_is_not_computed(api, client, serving, nap):
    await predict(client, row(next(numbers)))
    computed = await settled_rows(api)
    busy, staying = await api.connect(), await api.connect()
    leaving = [await api.connect() for _ in range(10)]
    await busy.send(api.post("nap", {"input": row(next(numbers), nap_s=1.5)}))
    await asyncio.sleep(0.2)
    request = api.post("nap", {"input": row(next(numbers))})

    for line in leaving:  # the first leads the others
        await line.send(request)
        await asyncio.sleep(0.02)
    for line in leaving:
        line.leave()
        await asyncio.sleep(0.02)
    await staying.ask(api.post("nap", {"input": row(next(numbers))}))

    assert (await busy.answer()).status == 200
    assert await settled_rows(api) - computed == 2
    assert await serving.redis.xlen(nap) == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_each_of_equal_requests_has_its_own_deadline(api, client, chunked):
    await predict(client, row(next(numbers)))
    given = {"input": row(next(numbers), nap_s=2)}
    leader, follower = await api.connect(), await api.connect()

    await leader.send(api.post("nap", given, "X-Deadline-Ms: 10000", chunked=chunked))
    await asyncio.sleep(0.1)
    await follower.send(api.post("nap", given, "X-Deadline-Ms: 300", chunked=chunked))
    first = asyncio.create_task(leader.answer())
    hasty = await follower.answer()

    assert not first.done()
    assert (hasty.status, hasty.code) == (504, "deadline_exceeded")
    assert (await first).status == 200


async def test_a_leader_that_runs_out_of_time_leaves_the_others_theirs(api, client):
    await predict(client, row(next(numbers)))
    number = next(numbers)
    given = {"input": row(number, nap_s=1)}
    leader, follower = await api.connect(), await api.connect()

    await leader.send(api.post("nap", given, "X-Deadline-Ms: 300"))
    await asyncio.sleep(0.1)
    await follower.send(api.post("nap", given, "X-Deadline-Ms: 10000"))

    assert (await leader.answer()).code == "deadline_exceeded"
    assert (await follower.answer()).json()["prediction"] == number


async def test_a_cache_that_is_away_fails_no_prediction(serving, stack, tmp_path, nap):  # noqa: ARG001
    nowhere = f"redis://127.0.0.1:{find_free_port()}/0"
    api = await serving.start_api(stack, tmp_path, cache_redis_url=nowhere)
    given = row(next(numbers))

    async with api.client() as client:
        answers = [await predict(client, given) for _ in range(20)]

    assert {answer.headers["cache-status"] for answer in answers} == {"modelyard; fwd=miss"}
    assert {answer.json()["prediction"] for answer in answers} == {given[0]}


async def test_a_cache_that_does_not_answer_fails_no_prediction(serving, stack, tmp_path, nap):  # noqa: ARG001
    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        api = await serving.start_api(stack, tmp_path, cache_redis_url=f"redis://127.0.0.1:{port}/0")
        given = row(next(numbers))

        async with api.client() as client:
            answers = await asyncio.gather(*(predict(client, given) for _ in range(20)))

    assert {answer.json()["prediction"] for answer in answers} == {given[0]}


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that hears everything and says nothing."""
    while await reader.read(65536):
        pass
    writer.close()
