"""Opens what handlers need when the process starts, and closes it when it ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import UUID

from litestar import Litestar
from litestar.datastructures import State

from api.browser_logins import BrowserLogins
from api.credentials import Credentials
from api.event_streams import EventStreams
from api.prediction_quotas import PredictionQuotas
from api.predictor import Predictor
from api.promotions import Promotions
from api.readiness import Readiness
from shared.access.accounts import Accounts
from shared.access.acting import acting_tenant
from shared.access.api_keys import ApiKeys
from shared.access.forged_requests import ForgedRequests
from shared.access.invitations import Invitations
from shared.access.known_networks import KnownNetworks
from shared.access.login_delays import LoginDelays
from shared.access.members import Members
from shared.access.messages import AccessNews, follow_access
from shared.access.oidc.logins import OidcLogins
from shared.access.organizations import Organizations
from shared.access.own_account import OwnAccount
from shared.access.own_sessions import OwnSessions
from shared.access.password_reset import PasswordResets
from shared.access.passwords import PasswordHasher
from shared.access.tokens import AccessTokens
from shared.analytics.recorder import Recorder
from shared.catalog.catalog import Catalog
from shared.catalog.news import CatalogNews
from shared.database.engine import Database
from shared.jobs.news import JobNews
from shared.limits.limiter import RateLimiter
from shared.messaging.broker import Messenger, connect_broker
from shared.messaging.redis import connect_redis
from shared.metrics.exchange import Exchange
from shared.metrics.publisher import MetricsPublisher
from shared.predictions.placement import Heartbeats
from shared.schedules.scheduled_jobs import open_scheduled_jobs
from shared.schedules.service import Schedules
from shared.settings import Settings
from shared.storage.checking import tell_of_storage
from shared.storage.store import Storage
from shared.uploads.service import Uploads

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def lifespan(settings: Settings, tokens: AccessTokens) -> Lifespan:
    """What `app.state` holds from the first request to the last; see `dependencies` in app.py."""

    @asynccontextmanager
    async def opened(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:  # the last that was opened is closed first
            _connect(app.state, settings, closing)
            await tell_of_storage(app.state.storage)
            _open_accounts(app.state, settings, tokens, closing)
            _open_catalog(app.state, settings, closing)
            _open_jobs(app.state, settings, closing)
            await _open_predictions(app.state, settings, closing)
            yield

    return opened


def _connect(state: State, settings: Settings, closing: AsyncExitStack) -> None:
    """The servers behind it all."""
    state.database = Database(settings.database_url, acting_for=acting_tenant)
    closing.push_async_callback(state.database.close)
    state.redis = connect_redis(settings.redis_url)
    closing.push_async_callback(state.redis.aclose)
    state.storage = Storage(settings.storage_url, public_endpoint=settings.storage_public_endpoint)
    state.messenger = Messenger(connect_broker(settings))
    closing.callback(state.messenger.close)


def _open_accounts(state: State, settings: Settings, tokens: AccessTokens, closing: AsyncExitStack) -> None:
    """Who may do what, and how often."""
    state.passwords = PasswordHasher()
    closing.callback(state.passwords.close)
    anybodys = state.database.across_tenants("who it is, and of which tenant, is what is to be found out")
    several = state.database.across_tenants("people are in several organisations, and move between them")
    state.credentials = Credentials(settings, anybodys, tokens)
    closing.push_async_callback(state.credentials.close)
    news = AccessNews(state.redis, state.credentials)
    delays = LoginDelays(state.redis, timeout_s=settings.rate_limit_timeout_s)
    state.known_networks = KnownNetworks(
        state.redis, settings.secret_key, timeout_s=settings.rate_limit_timeout_s
    )
    closing.push_async_callback(state.known_networks.close)
    asks = {"passwords": state.passwords, "news": news, "delays": delays}
    state.accounts = Accounts(settings, anybodys, tokens=tokens, known=state.known_networks, **asks)
    closing.push_async_callback(state.accounts.close)
    forged = ForgedRequests(state.database)
    closing.push_async_callback(forged.close)
    state.cookie_door.open(state.credentials, forged)
    state.browser_logins = BrowserLogins(state.cookie_door, state.accounts)
    state.sessions = OwnSessions(several, news)
    state.api_keys = ApiKeys(settings, state.database, news)
    state.organizations = Organizations(settings, several, news)
    state.members = Members(several, news)
    state.invitations = Invitations(settings, several)
    state.own_account = OwnAccount(anybodys, **asks)
    state.password_resets = PasswordResets(anybodys, **asks)
    state.oidc = OidcLogins(settings, anybodys, state.redis)
    closing.push_async_callback(state.oidc.close)
    state.rate_limiter = RateLimiter(state.redis, timeout_s=settings.rate_limit_timeout_s)
    closing.push_async_callback(state.rate_limiter.close)
    heard = follow_access(state.redis, state.credentials)
    closing.push_async_callback(heard.close)
    heard.start()


def _open_catalog(state: State, settings: Settings, closing: AsyncExitStack) -> None:
    """Models, and who holds them."""
    heartbeats = Heartbeats(state.redis, heartbeat_s=settings.worker_heartbeat_s)
    state.readiness = Readiness(state.database, state.redis, heartbeats=heartbeats)
    state.catalog_news = CatalogNews(state.redis)
    closing.push_async_callback(state.catalog_news.close)
    state.catalog = Catalog(state.database, state.redis, storage=state.storage, news=state.catalog_news)
    state.promotions = Promotions(state.catalog, state.redis, heartbeats=heartbeats)
    state.catalog_news.start()


def _open_jobs(state: State, settings: Settings, closing: AsyncExitStack) -> None:
    """Files for jobs, and who follows which job."""
    state.uploads = Uploads(settings, state.database, state.storage)
    closing.callback(state.uploads.close)
    state.job_news = JobNews(state.redis)
    closing.push_async_callback(state.job_news.close)
    scheduled = open_scheduled_jobs(
        settings, state.database, storage=state.storage, uploads=state.uploads, messenger=state.messenger
    )
    state.schedules = Schedules(settings, state.database, scheduled)
    state.event_streams = EventStreams(settings.max_event_streams)
    state.job_news.start()


async def _open_predictions(state: State, settings: Settings, closing: AsyncExitStack) -> None:
    """The real-time path, and what it counts."""
    state.metrics = Exchange(state.redis)
    everybodys = state.database.across_tenants("one statement adds what was counted for all of them")
    state.recorder = Recorder(settings, everybodys)
    publisher = MetricsPublisher(state.redis, "api", sources=[state.recorder.families])
    closing.push_async_callback(publisher.close)
    closing.push_async_callback(state.recorder.close)
    state.predictor = Predictor(settings, state.database, state.redis, recorder=state.recorder)
    closing.push_async_callback(state.predictor.close)
    state.prediction_quotas = PredictionQuotas(settings, everybodys)
    closing.push_async_callback(state.prediction_quotas.close)
    state.predict_route.open(state.predictor, state.credentials, state.prediction_quotas)
    state.catalog_news.on_model_change(_forget_routes(state.predictor))
    await state.recorder.start()
    await publisher.start()
    await state.prediction_quotas.start()
    await state.predictor.start()


def _forget_routes(predictor: Predictor) -> Callable[[UUID | None], None]:
    """Drop what the predictor holds of a model that changed; of all, if messages may have been lost."""

    def forget(model_id: UUID | None) -> None:
        if model_id is None:
            predictor.routes.forget_all()
        else:
            predictor.routes.forget(model_id)

    return forget
