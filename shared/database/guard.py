"""Whose rows a transaction may see, so that PostgreSQL itself holds to it.

A guarded transaction begins by naming the tenant it acts for; the policies of migrations/row_security.py do
the rest. Superusers are exempt from every policy: for them the transaction also takes on a role that is not.
Both last as long as the transaction, so that a pooler may hand its connection to anybody afterwards.
"""

from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session, SessionTransaction

from shared.errors import OperatorError

ROLE: Final = "modelyard_tenant"  # made by migrations/row_security.py, as is what reads the next
SETTING: Final = "modelyard.tenant"  # not set: all tenants
NOBODY: Final = UUID(int=0)  # no tenant's id: who acts for it sees no row
BEGIN_WITH: Final = "begin_with"  # in a session's `info`: what its transactions say first

_HOW_TO: Final = "see docs/how-to/run-in-production.md, `The database's user`"

_ABOUT_US = text("""
    SELECT rolsuper OR rolbypassrls,
           (SELECT pg_has_role(ours.oid, its.oid, 'MEMBER') FROM pg_roles its WHERE its.rolname = :role)
    FROM pg_roles ours WHERE ours.rolname = current_user
""")
_OPEN_TABLES = text("""
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
      AND (relrowsecurity OR relname = 'jobs')
      AND NOT (row_security_active(oid) AND has_table_privilege(oid, 'SELECT')
               AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
               AND has_table_privilege(oid, 'DELETE'))
    ORDER BY relname
""")


class GuardBroken(OperatorError):
    """PostgreSQL would not keep tenants apart, as this user and these tables are."""

    code = "row_security_inactive"


class GuardedConnection(asyncpg.Connection):
    """Says whom a transaction acts for in the same round trip that begins it."""

    begin_with = ""

    async def execute(
        self,
        query: str,
        *args: Any,
        timeout: float | None = None,  # noqa: ASYNC109  asyncpg's signature
    ) -> str:
        """Run what is asked for; `BEGIN` with what belongs to it."""
        if self.begin_with and query.startswith("BEGIN"):
            query, self.begin_with = f"{query} {self.begin_with}", ""
        return await super().execute(query, *args, timeout=timeout)


class GuardedSession(Session):
    """A session whose transactions begin with what its `info` says."""


@event.listens_for(GuardedSession, "after_begin")
def _tell_connection(session: Session, _: SessionTransaction, connection: Connection) -> None:
    """SQLAlchemy has a connection for the transaction, and sends its BEGIN with the first statement."""
    driver = connection.connection.driver_connection
    if isinstance(driver, GuardedConnection):
        driver.begin_with = session.info.get(BEGIN_WITH, "")


class Guard:
    """How this user of the database is held to one tenant's rows: found out once, and seen to hold."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._takes_role: bool | None = None  # None: not found out yet

    async def begin_with(self, tenant_id: UUID | None) -> str:
        """What a transaction must begin with to see the rows of this tenant alone; None: nobody's.

        Raises:
            GuardBroken: nothing would do.
        """
        if self._takes_role is None:
            await self.check()
        return _begin_with(tenant_id or NOBODY, takes_role=bool(self._takes_role))

    async def check(self) -> None:
        """Find out how, and whether it holds.

        Raises:
            GuardBroken: it does not.
        """
        async with self._engine.connect() as connection:
            takes_role = await _takes_role(connection)
            open_tables = await _open_tables(connection, takes_role=takes_role)
        if open_tables:
            names = ", ".join(open_tables[:5])
            raise GuardBroken(
                f"PostgreSQL would not keep tenants apart in: {names}. Run the release entry; {_HOW_TO}"
            )
        self._takes_role = takes_role


async def _takes_role(connection: AsyncConnection) -> bool:
    is_exempt, is_member = (await connection.execute(_ABOUT_US, {"role": ROLE})).one()
    if is_exempt and not is_member:
        raise GuardBroken(
            "DATABASE_URL names a superuser, or one with BYPASSRLS, and the role"
            f" {ROLE} that would keep tenants apart is not there for it: {_HOW_TO}"
        )
    return bool(is_exempt)


async def _open_tables(connection: AsyncConnection, *, takes_role: bool) -> list[str]:
    """Tables that nobody's transaction could see into, or that it could not use; all if there are none."""
    try:
        await connection.exec_driver_sql(_begin_with(NOBODY, takes_role=takes_role))
        names = list(await connection.scalars(_OPEN_TABLES))
        has_jobs = await connection.scalar(text("SELECT to_regclass('public.jobs')"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise GuardBroken(f"PostgreSQL does not let us act for a tenant: {error.orig}; {_HOW_TO}") from error
    return names if has_jobs else ["jobs"]


def _begin_with(tenant_id: UUID, *, takes_role: bool) -> str:
    """A statement without parameters, as it travels with BEGIN; an id is nothing but hexadecimal digits."""
    role = f"set_config('role', '{ROLE}', true), " if takes_role else ""
    return f"SELECT {role}set_config('{SETTING}', '{tenant_id}', true)"
