"""The leader's duties, against what the database holds after something was lost."""

from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import Date, func, insert, select, update

from shared.catalog.tables import VersionRow
from shared.database.engine import Database
from shared.jobs.job import Priority
from shared.jobs.tables import ChunkRow
from shared.messaging.broker import Messenger
from shared.messaging.redis import connect_redis
from shared.quotas.tables import TenantDayRow
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.service import record_event
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.api import Account, Upload
from tests.fixtures.jobs import ServeModel
from tests.fixtures.turns import Turns
from workers.duties import Duty, all_duties


@pytest.fixture
def duties(
    settings: Settings, database: Database, redis: Redis, messenger: Messenger, storage: Storage
) -> dict[str, Duty]:
    found = all_duties(settings, database=database, redis=redis, messenger=messenger, storage=storage)
    return {duty.name: duty for duty in found}


async def test_a_version_that_nobody_validates_is_asked_for_again(
    duties: dict[str, Duty], upload: Upload, redis: Redis, database: Database
):
    version = await upload()
    await redis.flushall()  # and with it the message
    async with database.transaction() as session:
        await session.execute(update(VersionRow).values(created_at=func.now() - timedelta(minutes=1)))

    await duties["resend_lost_validations"].run()

    assert await redis.zrange("predict:validations", 0, -1) == [version["version"]["id"].encode()]


async def test_a_delivery_that_is_due_is_asked_for(
    duties: dict[str, Duty], account: Account, database: Database, settings: Settings
):
    async with database.transaction() as session:
        await record_event(
            session,
            tenant_id=account.tenant_id,
            job_id=None,
            url="http://127.0.0.1:1/",
            event_type="job.succeeded",
            data={},
        )
        await session.execute(update(DeliveryRow).values(sent_at=func.now() - timedelta(minutes=1)))

    await duties["send_due_deliveries"].run()
    await duties["send_due_deliveries"].run()

    assert await messages(settings, "webhooks") == 1


async def test_an_empty_queue_is_filled_for_chunks_that_wait_and_once(
    duties: dict[str, Duty],
    turns: Turns,
    database: Database,
    *,
    serve_model: ServeModel,
    regressor: Path,
    settings: Settings,
):
    await serve_model("plane", regressor)
    await turns.job("job", tenant="Ada", chunks=3, priority=Priority.LOW)
    async with database.transaction() as session:
        await session.execute(update(ChunkRow).values(sent_at=func.now() - timedelta(seconds=2)))

    await duties["replace_lost_hints"].run()
    await duties["replace_lost_hints"].run()

    assert await messages(settings, "jobs.low") == 3
    assert await messages(settings, "jobs.normal") == 0


async def test_a_round_with_nothing_lost_sends_nothing(
    duties: dict[str, Duty], redis: Redis, settings: Settings
):
    for duty in duties.values():
        await duty.run()

    assert await redis.keys() == []
    assert await messages(settings, "webhooks") + await messages(settings, "jobs") == 0


async def test_what_was_used_is_forgotten_after_400_days(
    duties: dict[str, Duty], account: Account, database: Database
):
    async with database.transaction() as session:
        for days in (0, 400, 401, 900):
            day = func.timezone("UTC", func.now()).cast(Date) - days
            await session.execute(insert(TenantDayRow).values(tenant_id=account.tenant_id, day=day))

    await duties["forget_old_days"].run()
    await duties["forget_old_days"].run()

    async with database.transaction() as session:
        ago = func.timezone("UTC", func.now()).cast(Date) - TenantDayRow.day
        assert sorted(await session.scalars(select(ago))) == [0, 400]


async def messages(settings: Settings, queue: str) -> int:
    """How many messages wait in the queue."""
    broker = connect_redis(settings.broker_redis_url)
    count = await broker.llen(f"dramatiq:{queue}")
    await broker.aclose()
    return count
