"""Requests that a browser was made to send, and that were refused: written down beside the answer."""

import asyncio
from typing import Final

import structlog

from shared.access.acting import Acting, acting_as
from shared.access.caller import Caller
from shared.access.tables import User
from shared.audit.actor import ANONYMOUS, Target
from shared.audit.log import record_failure
from shared.database.engine import Database

log = structlog.get_logger()

_AT_ONCE: Final = 4  # more of them go unwritten: whoever floods would have PostgreSQL for themselves


class ForgedRequests:
    """Writes them to the audit log of the session's organisation, a bounded number an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, caller: Caller, *, address: str) -> None:
        """One came with the cookie of this caller's session."""
        if len(self._writing) >= _AT_ONCE:
            return
        writing = asyncio.create_task(self._write(caller, address), name="note a forged request")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait until all are written."""
        await asyncio.gather(*self._writing)

    async def _write(self, caller: Caller, address: str) -> None:
        try:
            with acting_as(Acting(caller, address)):
                async with self._database.transaction() as session:
                    user = await session.get_one(User, caller.user_id)
                    await record_failure(
                        session,
                        action="auth.request_refused",
                        target=Target(type="user", id=user.id, name=user.email),
                        tenant_id=caller.tenant_id,
                        actor=ANONYMOUS,
                    )
        except Exception as error:  # noqa: BLE001  there is nobody left to be answered
            log.warning(
                "forged request not written down", user_id=str(caller.user_id), error=type(error).__name__
            )
