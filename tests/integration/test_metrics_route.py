"""/metrics over all processes, as Prometheus reads it, and what of a process outlives it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import psutil
import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from sklearn.dummy import DummyClassifier

from api.app import create_app
from api.http_metrics import observe_http
from shared.analytics import outcome
from shared.metrics import exchange
from shared.metrics.exchange import BEATS, DEPARTED, MOST_DEPARTED, PROCESSES, Exchange, Snapshot
from shared.metrics.family import Family, Kind
from shared.metrics.publisher import MetricsPublisher
from shared.metrics.totals import totals
from shared.settings import Settings
from tests.fixtures.api import Upload
from tests.fixtures.predictions import ask
from tests.fixtures.processes import started

TOKEN = "only Prometheus knows it"

Samples = dict[tuple[str, ...], float]


def said(process: str, value: float, *, at_ms: int = 0) -> Snapshot:
    family = Family(name="modelyard_x_total", kind=Kind.COUNTER, help="X.", values={(): [value]})
    return Snapshot(kind="api", process=process, at_ms=at_ms, families=[family])


@pytest.fixture
def board(redis: Redis) -> Exchange:
    return Exchange(redis)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent for a moment is dead."""
    monkeypatch.setattr(exchange, "SILENCE_MS", 100)


@pytest.fixture
async def guarded(app: Litestar, settings: Settings) -> AsyncIterator[AsyncClient]:
    """As `client`, of an application with a token for the metrics."""
    application = create_app(msgspec.structs.replace(settings, metrics_token=TOKEN))
    application.state.metrics = app.state.metrics
    async with AsyncClient(transport=ASGITransport(application), base_url="http://modelyard.test") as sender:
        yield sender


async def counted(board: Exchange) -> float:
    """The counter over all processes."""
    [family] = totals(await board.read())
    return family.values[()][0]


async def scraped(client: AsyncClient, **headers: str) -> Samples:
    """What Prometheus reads: values by name and labels."""
    answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def eventually(look: Callable[[], Awaitable[Samples]], *names: tuple[str, ...]) -> Samples:
    """What is read once all the names are there."""
    async with asyncio.timeout(30):
        while not (found := await look()).keys() >= set(names):
            await asyncio.sleep(0.05)
    return found


async def test_prometheus_can_read_it(client: AsyncClient):
    observe_http("/livez", 204, 0.002)

    found = await eventually(lambda: scraped(client), ("modelyard_http_requests_total", "/livez", "204"))

    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert found["modelyard_processes", "api"] == 1
    memory = [value for name, value in found.items() if name[0] == "modelyard_process_resident_memory_bytes"]
    assert memory == [pytest.approx(psutil.Process().memory_info().rss, rel=0.2)]


async def test_every_metric_keeps_the_rules_for_names(client: AsyncClient):
    await eventually(lambda: scraped(client), ("modelyard_processes", "api"))

    families = list(text_string_to_metric_families((await client.get("/metrics")).text))

    assert len(families) > 10
    assert all(family.name.startswith("modelyard_") and family.documentation for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}


async def test_what_the_recorder_counts_is_there(client: AsyncClient, app: Litestar, served: Upload):
    model = await served("iris")
    ids = model["id"], model["version"]["id"]
    app.state.recorder.record(
        UUID(ids[0]),
        UUID(ids[1]),
        outcome.OK,
        rows=3,
        cached=False,
        queue_us=2000,
        compute_us=500,
        total_us=3000,
    )

    found = await eventually(lambda: scraped(client), ("modelyard_predict_requests_total", *ids, "ok"))

    assert found["modelyard_predict_rows_total", *ids] == 3
    assert found["modelyard_predict_cache_misses_total", *ids] == 1
    assert found["modelyard_predict_queue_seconds_sum", *ids] == 0.002
    assert found["modelyard_predict_compute_seconds_bucket", *ids, "0.0004"] == 0
    assert found["modelyard_predict_compute_seconds_bucket", *ids, "0.0008"] == 1


async def test_with_a_token_set_nobody_else_reads_it(guarded: AsyncClient):
    without = await guarded.get("/metrics")
    wrong = await guarded.get("/metrics", headers={"Authorization": "Bearer of bad news"})

    assert (without.status_code, without.json()["code"]) == (401, "unauthenticated")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_metrics_token")
    assert TOKEN not in wrong.text


async def test_with_the_token_it_is_read(guarded: AsyncClient):
    await scraped(guarded, Authorization=f"Bearer {TOKEN}")


async def test_who_leaves_is_still_counted(board: Exchange):
    await board.publish(said("a", 5))

    await board.leave(said("a", 6))

    assert await counted(board) == 6
    assert (await board.read()).living == []


@pytest.mark.usefixtures("impatient")
async def test_who_dies_is_still_counted_and_no_longer_living(board: Exchange):
    await board.publish(said("a", 5))
    await asyncio.sleep(0.2)

    await board.publish(said("b", 1))

    assert await counted(board) == 6
    assert [each.process for each in (await board.read()).living] == ["b"]


@pytest.mark.usefixtures("impatient")
async def test_who_was_only_silent_is_not_counted_twice(board: Exchange, redis: Redis):
    await board.publish(said("a", 5))
    await asyncio.sleep(0.2)
    await board.publish(said("b", 1))

    await board.publish(said("a", 7))

    assert await counted(board) == 8
    assert await redis.hlen(DEPARTED) == 0


async def test_many_departed_need_little_room_and_are_all_counted(board: Exchange, redis: Redis):
    for number in range(3 * MOST_DEPARTED):
        await board.leave(said(str(number), 1, at_ms=number))
        await board.publish(said("last", 0, at_ms=number))

    assert await counted(board) == 3 * MOST_DEPARTED
    assert await redis.hlen(DEPARTED) <= MOST_DEPARTED + 1
    assert await redis.hexists(DEPARTED, str(3 * MOST_DEPARTED - 1))  # the newest may yet come back


async def test_summing_the_departed_side_by_side_counts_nobody_twice(board: Exchange):
    for number in range(MOST_DEPARTED + 8):
        await board.leave(said(str(number), 1, at_ms=number))

    await asyncio.gather(*(board.publish(said("last", 0)) for _ in range(8)))

    assert await counted(board) == MOST_DEPARTED + 8


async def test_what_another_release_says_disturbs_nobody(board: Exchange, redis: Redis):
    await board.publish(said("a", 5))
    await redis.hset(PROCESSES, "b", msgspec.msgpack.encode({"words": "of the future"}))
    await redis.hset(DEPARTED, mapping={str(n): b"\xc1" for n in range(MOST_DEPARTED + 1)})

    await board.publish(said("a", 6))

    assert await counted(board) == 6


async def test_a_redis_that_forgot_everything_hears_it_all_again(redis: Redis, board: Exchange):
    publisher = MetricsPublisher(redis, "api")
    await publisher.publish()
    before = {family.name for family in totals(await board.read())}

    await redis.flushall()
    await publisher.publish()

    assert {family.name for family in totals(await board.read())} == before


async def test_killing_a_worker_takes_nothing_from_the_totals(
    predict_workers: Any,
    uploads: Any,
    predictor: Any,
    caller: Any,
    board: Exchange,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    worker = await predict_workers.start()
    await uploads.add("iris", DummyClassifier().fit([[0.0]] * 4, [1, 1, 1, 1]))
    [template] = psutil.Process(worker.popen.pid).children()
    for host in template.children():
        host.kill()
    await ask(predictor, caller, "iris", [[1.0]])

    async def look() -> Samples:
        families = totals(await board.read())
        return {(f.name, *labels): values[0] for f in families for labels, values in f.values.items()}

    async with asyncio.timeout(30):
        while (before := await look()).get(("modelyard_host_losses_total",), 0) < 1:
            await asyncio.sleep(0.05)
    worker.kill()
    monkeypatch.setattr(exchange, "SILENCE_MS", 100)
    await asyncio.sleep(0.2)
    await board.publish(said("somebody else", 1))
    after = await look()

    assert ("modelyard_processes", "predict") not in after
    rising = [name for name in before if name[0].endswith("_total")]
    assert [after[name] >= before[name] for name in rising] == [True] * len(rising)
    assert after["modelyard_host_losses_total",] == 1
    assert await redis.zrange(BEATS, 0, -1) == await redis.hkeys(PROCESSES) == [b"somebody else"]


@pytest.mark.parametrize(
    ("module", "kind"),
    [("workers.jobs", "batch"), ("workers.webhooks", "webhooks"), ("workers.scheduler", "scheduler")],
)
async def test_every_kind_of_worker_is_there_until_it_stops(
    settings: Settings, board: Exchange, tmp_path: Any, module: str, kind: str
):
    async def kinds() -> list[str]:
        return [each.kind for each in (await board.read()).living]

    with started(module, settings, tmp_path / "worker.log") as worker:
        async with asyncio.timeout(30):
            while await kinds() != [kind]:
                await asyncio.sleep(0.05)
        worker.popen.terminate()
        code = await worker.wait_until_ended()

    assert code == 0, worker.log.read_text()
    everything = await board.read()
    assert everything.living == []
    assert [each.kind for each in everything.departed] == [kind]
