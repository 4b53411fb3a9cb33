"""A look, at the start, whether the store of STORAGE_URL can be written and read."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from shared.ids import new_id
from shared.storage.errors import ObjectMissing, StorageAway, StorageRefused
from shared.storage.store import Storage

PREFIX = "checks"
_CONTENT = b"checked"
_PATIENCE_S = 5.0  # of an answer; the store's own patience is for work that is under way

HINT = "see STORAGE_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and AWS_REGION"

log = structlog.get_logger()


async def check_storage(storage: Storage) -> None:
    """Write an object, read it and remove it.

    Raises:
        StorageRefused: the bucket is not there, or the credentials do not let us; the operator must act.
        StorageAway: nobody answers, which may pass.
    """
    try:
        await asyncio.wait_for(_try_out(storage, f"{PREFIX}/{new_id()}"), _PATIENCE_S)
    except ObjectMissing as error:
        raise StorageRefused("STORAGE_URL names a bucket that is not there") from error
    except TimeoutError as error:
        raise StorageAway from error


async def tell_of_storage(storage: Storage) -> None:
    """Log what is wrong with it, if anything is: predictions of warm models need no store."""
    try:
        await check_storage(storage)
    except (StorageAway, StorageRefused) as error:
        log.error("storage_unusable", reason=str(error), hint=HINT)  # noqa: TRY400  the reason says it all


async def _try_out(storage: Storage, key: str) -> None:
    await storage.write(key, _pieces(), max_bytes=len(_CONTENT))
    try:
        async for _ in storage.read(key):
            pass
    finally:
        await storage.delete(key)


async def _pieces() -> AsyncIterator[bytes]:
    yield _CONTENT
