"""Which version answers for a model, held in this process so that the hot path asks no database.

A route is dropped the moment the catalog says that its model changed. In case that message was lost it is
read anew after a short time, in the background while the old one serves: nobody waits for the database, and
one that is away for a minute is not noticed.
"""

import asyncio
import time
from uuid import UUID

import msgspec
import structlog

from shared.access.caller import Caller
from shared.access.grants import Granted
from shared.background import end_tasks
from shared.catalog.service import ServingVersion, serving_version
from shared.database.engine import Database
from shared.errors import CallerError
from shared.predictions.body import BodyReader
from shared.predictions.keys import request_stream
from shared.settings import Settings

log = structlog.get_logger()

MAX_ROUTES = 10_000  # in one process; past it all are read anew
ASK_AGAIN_AFTER_S = 1.0  # a database that did not answer

# Tenant, model as the caller spells it, version asked for; what a confined key may use leads by itself.
RouteKey = tuple[UUID, str, int | None, Granted]


class Route(msgspec.Struct, frozen=True):
    """Everything that a prediction needs to know of a version."""

    version: ServingVersion
    reader: BodyReader
    stream: str  # where its requests wait
    offered: frozenset[str]  # names of its outputs
    cache_ttl_ms: int  # for how long its replies are stored; 0: not at all
    fresh_until: float  # monotonic seconds
    good_until: float  # where the database cannot be asked


class Routes:
    """The routes that callers used lately."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._fresh_s, self._good_s = settings.route_ttl_s, settings.route_grace_s
        self._routes: dict[RouteKey, Route] = {}
        self._reads: dict[RouteKey, asyncio.Task[Route]] = {}  # one for each route
        self._tasks: set[asyncio.Task[Route]] = set()  # also those whose route was forgotten meanwhile
        self._told = 0  # how often something was to be forgotten

    async def close(self) -> None:
        """End what still reads."""
        await end_tasks(*self._tasks)

    def known(self, caller: Caller, model: str) -> Route | None:
        """The route to the version that serves, if it is at hand; one that is to be read anew is."""
        key = (caller.tenant_id, model, None, caller.models)
        route = self._routes.get(key)
        if route is None:
            return None
        now = time.monotonic()
        if now < route.fresh_until:
            return route
        if now >= route.good_until:
            return None
        self._refresh(key)
        return route

    async def find(self, caller: Caller, model: str, number: int | None) -> Route:
        """The version of `model` (a name or an id) that serves the caller.

        Args:
            number: of the version asked for; None for the one that serves.

        Raises:
            NotFound: no such model or version, another tenant's, or not granted to the caller.
            VersionNotServable: it cannot serve; the text says why.
        """
        key = (caller.tenant_id, model, number, caller.models)
        route = self._routes.get(key)
        now = time.monotonic()
        if route is not None and now < route.fresh_until:
            return route
        if route is not None and now < route.good_until:
            self._refresh(key)
            return route
        return await asyncio.shield(self._reading(key))

    def forget(self, model_id: UUID) -> None:
        """Read the model's routes anew at the next request."""
        self._told += 1
        self._reads = {}  # what they bring may be old
        for key in [key for key, route in self._routes.items() if route.version.model_id == model_id]:
            del self._routes[key]

    def forget_all(self) -> None:
        """Read every route anew in the background: messages may have been lost."""
        self._told += 1
        self._reads = {}
        for key, route in self._routes.items():
            self._routes[key] = msgspec.structs.replace(route, fresh_until=0.0)

    def _refresh(self, key: RouteKey) -> None:
        if key not in self._reads:
            self._reading(key).add_done_callback(lambda task: self._end_refresh(key, task))

    def _end_refresh(self, key: RouteKey, task: "asyncio.Task[Route]") -> None:
        """One that failed is tried again after a while; the old route serves meanwhile."""
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, CallerError):
            return
        log.warning("route not refreshed", error=type(error).__name__)
        route = self._routes.get(key)
        if route is not None:
            again_at = time.monotonic() + ASK_AGAIN_AFTER_S
            self._routes[key] = msgspec.structs.replace(route, fresh_until=min(again_at, route.good_until))

    def _reading(self, key: RouteKey) -> asyncio.Task[Route]:
        """One read at a time for each route, however many wait for it."""
        reading = self._reads.get(key)
        if reading is None:
            reading = self._reads[key] = asyncio.create_task(self._read(key, self._told))
            self._tasks.add(reading)
            reading.add_done_callback(lambda task: self._end_read(key, task))
        return reading

    def _end_read(self, key: RouteKey, task: "asyncio.Task[Route]") -> None:
        self._tasks.discard(task)
        if self._reads.get(key) is task:
            del self._reads[key]

    async def _read(self, key: RouteKey, told: int) -> Route:
        tenant_id, model, number, granted = key
        try:
            # Also read anew while nobody asks for it, and for all who ask at the same time.
            async with self._database.for_tenant(tenant_id).transaction() as session:
                version = await serving_version(session, tenant_id, model, number, granted=granted)
        except CallerError:
            self._routes.pop(key, None)
            raise
        route = self._route_to(version, self._routes.get(key))
        if told == self._told:  # or it may be what has just been forgotten
            self._keep(key, route)
        return route

    def _route_to(self, version: ServingVersion, before: Route | None) -> Route:
        """The route to a version; its reader takes long to make, and is kept from the route before."""
        now = time.monotonic()
        return Route(
            version=version,
            reader=before.reader if before and _reads_alike(before.version, version) else _reader_of(version),
            stream=request_stream(version.version_id),
            offered=frozenset(output.name for output in version.signature.outputs),
            cache_ttl_ms=version.cache_ttl_ms,
            fresh_until=now + self._fresh_s,
            good_until=now + self._good_s,
        )

    def _keep(self, key: RouteKey, route: Route) -> None:
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[key] = route


def _reads_alike(one: ServingVersion, other: ServingVersion) -> bool:
    same = one.settings.refuse_extra == other.settings.refuse_extra
    return same and one.version_id == other.version_id


def _reader_of(version: ServingVersion) -> BodyReader:
    return BodyReader(version.signature, refuse_extra=version.settings.refuse_extra)
