"""Wrong passwords, written down beside the answer: it must take as long where there is no such account."""

import asyncio

import structlog

from shared.access.tables import User
from shared.audit.actor import ANONYMOUS, Target
from shared.audit.log import record_failure
from shared.database.engine import Database

log = structlog.get_logger()


class FailedLogins:
    """Writes them to the audit log of the account's tenant, a bounded number an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, user: User | None) -> None:
        """Somebody did not know the password of this account; of none there is nobody to tell."""
        if user is None:
            return
        writing = asyncio.create_task(self._write(user), name="note a failed log-in")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait until all are written."""
        await asyncio.gather(*self._writing)

    async def _write(self, user: User) -> None:
        target = Target(type="user", id=user.id, name=user.email)
        try:
            async with self._database.transaction() as session:
                await record_failure(
                    session,
                    action="auth.login_failed",
                    target=target,
                    tenant_id=user.tenant_id,
                    actor=ANONYMOUS,
                )
        except Exception as error:  # noqa: BLE001  there is nobody left to be answered
            log.warning("failed log-in not written down", user_id=str(user.id), error=type(error).__name__)
