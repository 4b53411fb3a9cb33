"""Opens what handlers need when the process starts, and closes it when it ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from litestar import Litestar

from api.credentials import Credentials
from api.predictor import Predictor
from api.promotions import Promotions
from api.readiness import Readiness
from shared.access.accounts import Accounts
from shared.access.api_keys import ApiKeys
from shared.access.messages import follow_keys
from shared.access.passwords import PasswordHasher
from shared.access.tokens import AccessTokens
from shared.analytics.recorder import Recorder
from shared.catalog.catalog import Catalog
from shared.catalog.news import CatalogNews
from shared.database.engine import Database
from shared.limits.limiter import RateLimiter
from shared.messaging.broker import Messenger, connect_broker
from shared.messaging.redis import connect_redis
from shared.metrics.exchange import Exchange
from shared.metrics.publisher import MetricsPublisher
from shared.predictions.placement import Heartbeats
from shared.settings import Settings
from shared.storage.store import Storage

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def lifespan(settings: Settings, tokens: AccessTokens) -> Lifespan:
    """What `app.state` holds from the first request to the last; see `dependencies` in app.py."""

    @asynccontextmanager
    async def opened(app: Litestar) -> AsyncIterator[None]:
        state = app.state
        state.database = Database(settings.database_url)
        state.redis = connect_redis(settings.redis_url)
        state.storage = Storage(settings.storage_url)
        state.messenger = Messenger(connect_broker(settings))
        state.passwords = PasswordHasher()
        state.accounts = Accounts(settings, state.database, passwords=state.passwords, tokens=tokens)
        state.credentials = Credentials(settings, state.database, tokens)
        state.api_keys = ApiKeys(settings, state.database, state.redis, forget=state.credentials.forget_key)
        key_news = follow_keys(state.redis, state.credentials)
        state.rate_limiter = RateLimiter(state.redis, timeout_s=settings.rate_limit_timeout_s)
        state.catalog_news = CatalogNews(state.redis)
        state.catalog = Catalog(state.database, state.redis, storage=state.storage, news=state.catalog_news)
        state.recorder = Recorder(settings, state.database)
        state.metrics = Exchange(state.redis)
        publisher = MetricsPublisher(state.redis, "api", sources=[state.recorder.families])
        state.predictor = Predictor(settings, state.database, state.redis, recorder=state.recorder)
        state.predict_route.open(state.predictor, state.credentials)
        heartbeats = Heartbeats(state.redis, heartbeat_s=settings.worker_heartbeat_s)
        state.promotions = Promotions(state.catalog, state.redis, heartbeats=heartbeats)
        state.readiness = Readiness(state.database, state.redis, heartbeats=heartbeats)
        state.catalog_news.on_model_change(_forget_routes(state.predictor))
        try:
            key_news.start()
            state.catalog_news.start()
            await state.recorder.start()
            await publisher.start()
            await state.predictor.start()
            yield
        finally:
            await state.predictor.close()
            await state.recorder.close()
            await publisher.close()
            await state.catalog_news.close()
            await key_news.close()
            await state.credentials.close()
            await state.rate_limiter.close()
            state.passwords.close()
            state.messenger.close()
            await state.redis.aclose()
            await state.database.close()

    return opened


def _forget_routes(predictor: Predictor) -> Callable[[UUID | None], None]:
    """Drop what the predictor holds of a model that changed; of all, if messages may have been lost."""

    def forget(model_id: UUID | None) -> None:
        if model_id is None:
            predictor.routes.forget_all()
        else:
            predictor.routes.forget(model_id)

    return forget
