"""Which version answers for a model, held in this process so that the hot path asks no database.

A route is dropped the moment the catalog says that its model changed, and after a short time even if
that message was lost.
"""

import time
from uuid import UUID

import msgspec

from shared.access.caller import Caller
from shared.catalog.service import ServingVersion, serving_version
from shared.database.engine import Database
from shared.predictions.rows import RowReader

MAX_ROUTES = 10_000  # in one process; past it all are read anew


RouteKey = tuple[UUID, str, int | None]  # tenant, model as the caller spells it, version asked for


class Route(msgspec.Struct, frozen=True):
    """Everything that a prediction needs to know of a version."""

    version: ServingVersion
    reader: RowReader
    expires: float  # monotonic seconds


class Routes:
    """The routes that callers used lately."""

    def __init__(self, database: Database, *, ttl_s: float) -> None:
        self._database, self._ttl_s = database, ttl_s
        self._routes: dict[RouteKey, Route] = {}
        self._told = 0  # how often something was to be forgotten

    async def find(self, caller: Caller, model: str, number: int | None) -> Route:
        """The version of `model` (a name or an id) that serves the caller.

        Args:
            number: of the version asked for; None for the one that serves.

        Raises:
            NotFound: no such model or version, or another tenant's.
            VersionNotServable: it cannot serve; the text says why.
        """
        key = (caller.tenant_id, model, number)
        route = self._routes.get(key)
        if route is None or route.expires < time.monotonic():
            told = self._told
            route = await self._read(caller, model, number)
            if told == self._told:  # or it may be what has just been forgotten
                self._keep(key, route)
        return route

    def _keep(self, key: RouteKey, route: Route) -> None:
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[key] = route

    async def _read(self, caller: Caller, model: str, number: int | None) -> Route:
        async with self._database.transaction() as session:
            version = await serving_version(session, caller.tenant_id, model, number)
        return Route(version, RowReader(version.signature), time.monotonic() + self._ttl_s)

    def forget(self, model_id: UUID) -> None:
        """Read the model's routes anew at the next request."""
        self._told += 1
        for key in [key for key, route in self._routes.items() if route.version.model_id == model_id]:
            del self._routes[key]

    def forget_all(self) -> None:
        """Read every route anew: messages may have been lost."""
        self._told += 1
        self._routes.clear()
