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
from workers.environments.environments import Environments
from workers.hosting.templates import Templates, template_for
from workers.predict.loading import UPLOADS_FOR_A_LOAD
from workers.predict.supervisor import Supervisor


async def work(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database(settings.database_url, connections=4)
    redis = connect_redis(settings.redis_url, connections=_connections(settings))
    publisher = MetricsPublisher(redis, "predict")
    storage = Storage(settings.storage_url)
    try:
        supervisor = Supervisor(
            settings,
            database=database,
            redis=redis,
            storage=storage,
            templates=Templates(
                Environments(settings, storage, os.environ), new_template=template_for(settings)
            ),
        )
        spare_garbage_collection()
        await publisher.start()
        await supervisor.run(stop)
    finally:
        await publisher.close()
        await redis.aclose()
        await database.close()


def _connections(settings: Settings) -> int:
    """Of the pool, from which nobody may be turned away. Requests and replies have connections of their own.

    Two wait for notes, one hears news, one beats and one tells metrics. Each version that is being opened
    may need one, and so may each that is held, all at once: where Redis lost its data, or the worker leaves.
    """
    opened = (1 + UPLOADS_FOR_A_LOAD) * settings.loading_at_once
    return 5 + opened + settings.max_loaded_versions


if __name__ == "__main__":
    the_settings = Settings.from_env(os.environ)
    configure_logs(the_settings, "predict")
    uvloop.run(work(the_settings))
