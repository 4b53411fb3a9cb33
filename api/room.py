"""Refusing early what there is no room for: a large file is not sent for nothing."""

from typing import Any, Final
from uuid import UUID

from litestar import Request

from shared.database.engine import Database
from shared.quotas.limits import look_for_room
from shared.quotas.quota import Quota
from shared.settings import Settings

_FORM_BYTES: Final = 64 * 1024  # of a form, that may be around its files


async def refuse_without_room(
    request: Request[Any, Any, Any], database: Database, settings: Settings, *, tenant_id: UUID
) -> None:
    """Look whether the tenant has room for the body. What is stored in the end is looked at again, exactly.

    Raises:
        QuotaExceeded: there is none.
    """
    announced = request.headers.get("content-length", "")
    size_bytes = int(announced) if announced.isascii() and announced.isdecimal() else 0
    more = max(1, size_bytes - _FORM_BYTES)
    async with database.transaction() as session:
        await look_for_room(session, tenant_id, Quota.STORAGE_BYTES, settings=settings, more=more)
