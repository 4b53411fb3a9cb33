"""Removes objects that a crash left between their write and the commit that would have named them."""

import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import structlog

from shared.catalog.orphans import PREFIXES as VERSION_PREFIXES
from shared.catalog.orphans import orphans_of_versions
from shared.clock import utc_now
from shared.database.engine import Database
from shared.jobs.orphans import PREFIX as JOBS_PREFIX
from shared.jobs.orphans import orphans_of_jobs
from shared.storage.checking import PREFIX as CHECKS_PREFIX
from shared.storage.store import Listed, Storage

OLD = timedelta(days=1)  # far longer than from the last byte of any upload to its commit
PAUSE_S = 3600.0  # between two walks over the store

log = structlog.get_logger()


class OrphanSweep:
    """A walk over the store, of which each round does one page of the listing."""

    def __init__(self, database: Database, storage: Storage, *, older_than: timedelta = OLD) -> None:
        self._database, self._storage, self._older_than = database, storage, older_than
        self._walk: AsyncGenerator[tuple[str, list[Listed]]] | None = None
        self._rests_until = 0.0  # monotonic seconds

    async def round(self) -> bool:
        """Remove what is nobody's of the next page; False at the end of a walk, and between two."""
        if self._walk is None:
            if time.monotonic() < self._rests_until:
                return False
            self._walk = self._pages()
        try:
            prefix, page = await anext(self._walk)
        except StopAsyncIteration:
            self._walk, self._rests_until = None, time.monotonic() + PAUSE_S
            return False
        except BaseException:
            self._walk = None  # it cannot go on after an error; the next round begins anew
            raise
        await self._sweep(prefix, page)
        return True

    async def _pages(self) -> AsyncGenerator[tuple[str, list[Listed]]]:
        for prefix in (*VERSION_PREFIXES, JOBS_PREFIX, CHECKS_PREFIX):
            async for page in self._storage.pages(prefix):
                yield prefix, page
        if removed := await self._storage.delete_half_written(before=self._long_ago()):
            log.info("half_written_objects_removed", objects=removed)

    async def _sweep(self, prefix: str, page: list[Listed]) -> None:
        before = self._long_ago()
        old = [listed.key for listed in page if listed.modified_at < before]
        # Asked for after the listing: what was committed since is seen, and what is old is not in progress.
        orphans = await self._orphans(prefix, old) if old else set()
        for key in sorted(orphans):
            await self._storage.delete(key)
            log.info("orphan_removed", key=key)

    def _long_ago(self) -> datetime:
        return utc_now() - self._older_than

    async def _orphans(self, prefix: str, keys: list[str]) -> set[str]:
        if prefix == CHECKS_PREFIX:
            return set(keys)
        async with self._database.transaction() as session:
            if prefix == JOBS_PREFIX:
                return await orphans_of_jobs(session, keys)
            return await orphans_of_versions(session, keys)
