"""`python -m workers.jobs`: plans jobs, runs their chunks, finishes them."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from shared.database.engine import Database
from shared.garbage import spare_garbage_collection
from shared.jobs.chunk_hints import RUN_CHUNKS
from shared.jobs.news import JobNews
from shared.logs import configure_logs
from shared.messaging.actors import JOBS_QUEUE
from shared.messaging.broker import Messenger, connect_broker
from shared.messaging.redis import connect_redis
from shared.pandas_kept_out import keep_pandas_out
from shared.settings import Settings
from shared.storage.store import Storage
from workers.dramatiq_worker import run_worker
from workers.environments.environments import Environments
from workers.hosting.telling import tell_confinement
from workers.hosting.templates import Templates, template_for
from workers.jobs.actors import declare_actors
from workers.jobs.context import JobContext
from workers.jobs.early_joins import EarlyJoins
from workers.jobs.host_pool import HostPool
from workers.jobs.next_chunk import served_priorities
from workers.metrics_thread import publishing_metrics

TELL_TIMEOUT_S = 1.0  # a Redis that does not answer must hold no work up: telling of a job is only a hint


def main() -> None:
    """Work until a signal says stop."""
    settings = Settings.from_env(os.environ)
    configure_logs(settings, "batch")
    keep_pandas_out()
    storage = Storage(settings.storage_url)
    templates = Templates(Environments(settings, storage, os.environ), new_template=template_for(settings))
    templates.start()
    tell_confinement(templates.confinement, sandbox=settings.sandbox)
    broker, redis = connect_broker(settings), connect_redis(settings.redis_url, timeout_s=TELL_TIMEOUT_S)
    context = JobContext(
        settings=settings,
        database=Database(settings.database_url),
        storage=storage,
        messenger=Messenger(broker),
        news=JobNews(redis),
        hosts=HostPool(templates, storage, size=settings.job_threads, load_timeout_s=settings.load_timeout_s),
        threads=ThreadPoolExecutor(settings.job_threads),
        stopping=threading.Event(),
    )
    early_joins = EarlyJoins(context)
    declare_actors(broker, context, early_joins=early_joins)

    def stop() -> None:
        templates.environments.stop()
        context.stopping.set()

    async def close() -> None:
        await early_joins.close()
        await context.database.close()
        await redis.aclose()

    spare_garbage_collection()
    with publishing_metrics(settings.redis_url, "batch"):
        run_worker(
            broker,
            [JOBS_QUEUE, *(RUN_CHUNKS[priority].queue for priority in served_priorities(settings))],
            threads=settings.job_threads,
            on_stop=stop,
            close=close,
        )
    templates.close()


if __name__ == "__main__":
    main()
