"""`python -m workers.predict`: one predict worker."""

import asyncio
import os
import signal

import uvloop

from shared.database.engine import Database
from shared.garbage import spare_garbage_collection
from shared.logs import configure_logs
from shared.messaging.redis import connect_redis
from shared.metrics.publisher import MetricsPublisher
from shared.settings import Settings
from shared.storage.store import Storage
from workers.hosting.template import HostTemplate
from workers.predict.supervisor import Supervisor


async def work(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database(settings.database_url, connections=4)
    # Each version that is served waits on two connections of its own, besides those of the duties.
    redis = connect_redis(settings.redis_url, connections=4 * settings.max_loaded_versions + 8)
    publisher = MetricsPublisher(redis, "predict")
    try:
        supervisor = Supervisor(
            settings,
            database=database,
            redis=redis,
            storage=Storage(settings.storage_url),
            template=HostTemplate(),
        )
        spare_garbage_collection()
        await publisher.start()
        await supervisor.run(stop)
    finally:
        await publisher.close()
        await redis.aclose()
        await database.close()


if __name__ == "__main__":
    the_settings = Settings.from_env(os.environ)
    configure_logs(the_settings, "predict")
    uvloop.run(work(the_settings))
