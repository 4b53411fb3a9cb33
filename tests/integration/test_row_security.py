"""PostgreSQL keeps tenants apart, whatever a query forgets: asked in raw SQL, of every table there is."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from alembic import command
from sqlalchemy import Table, delete, func, insert, make_url, select, text, update
from sqlalchemy.exc import DBAPIError

import api.app  # noqa: F401  which knows every table
from api.guard_check import check_guard
from shared.database.base import Base
from shared.database.engine import Database
from shared.database.guard import GuardBroken
from tests.fixtures.rows import Rows, fill_tables, new_row, tables
from tests.fixtures.servers import create_database, migration_config

# The platform's own, for a reason that is given here: who acts for a tenant sees no row of these.
OF_NO_TENANT = {
    "mails",  # they go to addresses, also to those of nobody's account
    "sessions",  # a person's, in whichever organisation they act
    "refresh_tokens",
    "password_reset_requests",
    "password_resets",
}
OUTBOXES = {"mails"}  # a tenant's transaction may add to these
REFUSED = "row-level security|the audit log is only added to"
BY_MEMBERSHIP = {"users"}  # whose `tenant_id` is only where they log in to


class Walls:
    """A database with rows of one tenant in every table, and one that acts for whoever is named."""

    def __init__(self, database: Database, guarded: Database) -> None:
        self.database, self.guarded = database, guarded
        self.ann, self.bob = uuid4(), uuid4()
        self.anns: Rows = {}

    async def fill(self) -> None:
        async with self.database.transaction() as session:
            self.anns = await fill_tables(session, tenant(self.ann))
            await session.execute(insert(Base.metadata.tables["tenants"]).values(tenant(self.bob)))

    async def counts(self, database: Database) -> dict[str, int]:
        """How many rows of each table can be seen."""
        async with database.transaction() as session:
            return {table.name: await count(session, table) for table in tables()}


def own_alone() -> dict[str, int]:
    """What somebody sees who has a row in every table."""
    return {name: int(name not in OF_NO_TENANT) for name in Base.metadata.tables}


def tenant(tenant_id: UUID) -> dict[str, Any]:
    return new_row(Base.metadata.tables["tenants"], {}) | {"id": tenant_id}


async def count(session, table: Table) -> int:
    return await session.scalar(select(func.count()).select_from(table))


@pytest.fixture
async def walls(database: Database, database_url: str) -> AsyncIterator[Walls]:
    """As a superuser, which is above policies."""
    guarded = Database(database_url, connections=1, acting_for=lambda: None)
    walls = Walls(database, guarded)
    await walls.fill()
    yield walls
    await guarded.close()


async def refusal(database: Database, statement) -> str:
    with pytest.raises(DBAPIError) as refused:
        async with database.transaction() as session:
            await session.execute(statement)
    return str(refused.value)


async def test_every_table_is_guarded(database: Database):
    query = text("""
        SELECT relname FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT (
            relrowsecurity AND relforcerowsecurity
            AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)
        )
    """)

    async with database.transaction() as session:
        unguarded = set(await session.scalars(query))

    # A new table's migration guards it: see migrations/row_security.py.
    assert unguarded == {"alembic_version"}


async def test_a_tenant_sees_its_own_rows_and_another_sees_none_of_them(walls: Walls):
    of_ann = await walls.counts(walls.guarded.for_tenant(walls.ann))
    of_bob = await walls.counts(walls.guarded.for_tenant(walls.bob))

    assert of_ann == own_alone()
    assert of_bob == dict.fromkeys(Base.metadata.tables, 0) | {"tenants": 1}


async def test_where_nobody_acts_there_is_nothing_to_see(walls: Walls):
    assert set((await walls.counts(walls.guarded)).values()) == {0}


async def test_the_platform_sees_all_on_a_connection_that_acted_for_a_tenant(walls: Walls):
    await walls.counts(walls.guarded.for_tenant(walls.bob))

    seen = await walls.counts(walls.guarded.across_tenants("the test looks"))

    assert seen == dict.fromkeys(Base.metadata.tables, 1) | {"tenants": 2}
    assert set((await walls.counts(walls.guarded)).values()) == {0}


async def test_nothing_of_another_tenants_is_changed_or_deleted(walls: Walls):
    bobs = walls.guarded.for_tenant(walls.bob)
    async with bobs.transaction() as session:
        for table in tables():
            same = {column.name: column for column in table.columns if column.computed is None}
            changed = await session.execute(update(table).values(same).where(table.c[0] == table.c[0]))
            assert changed.rowcount == (table.name == "tenants"), table.name
        for table in reversed(tables()):
            await session.execute(delete(table))

    left = await walls.counts(walls.database)

    assert left == dict.fromkeys(Base.metadata.tables, 1)


async def test_nothing_is_added_to_what_is_another_tenants(walls: Walls):
    bobs = walls.guarded.for_tenant(walls.bob)

    for table in (each for each in tables() if each.name not in OUTBOXES):
        theirs = new_row(table, walls.anns)
        assert "row-level security" in await refusal(bobs, insert(table).values(theirs)), table.name


async def test_no_row_is_given_away_to_another_tenant(walls: Walls):
    bobs = walls.guarded.for_tenant(walls.bob)
    async with walls.database.transaction() as session:
        await session.execute(
            delete(Base.metadata.tables["tenants"]).where(text("id = :id")), {"id": walls.bob}
        )
        await fill_tables(session, tenant(walls.bob))

    for table in tables():
        if "tenant_id" in table.columns and table.name not in BY_MEMBERSHIP | OF_NO_TENANT:
            given_away = update(table).values(tenant_id=walls.ann)
            assert re.search(REFUSED, await refusal(bobs, given_away)), table.name


async def test_what_failed_within_a_transaction_does_not_open_it(walls: Walls):
    async with walls.guarded.for_tenant(walls.bob).transaction() as session:
        with pytest.raises(DBAPIError):
            async with session.begin_nested():
                await session.execute(text("SELECT 1 / 0"))
        seen = await count(session, Base.metadata.tables["jobs"])

    assert seen == 0


@pytest.fixture
async def plain(postgres_url: str) -> AsyncIterator[tuple[Database, str]]:
    """A database of a user who may do nothing but own it; migrated by that user."""
    name = f"plain_{uuid4().hex}"
    url = await create_database(postgres_url, name, template="template0")
    owner = Database(url, connections=1)
    async with owner.transaction() as session:
        await session.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'plain'"))
        await session.execute(text(f"ALTER DATABASE {name} OWNER TO {name}"))
    plain_url = make_url(url).set(username=name, password="plain").render_as_string(hide_password=False)
    await asyncio.to_thread(command.upgrade, migration_config(plain_url), "head")
    yield owner, plain_url
    await owner.close()


async def test_it_holds_for_a_user_who_owns_the_tables_until_a_table_is_opened(plain, settings):
    owner, url = plain
    guarded = Database(url, connections=1, acting_for=lambda: None)
    walls = Walls(Database(url, connections=1), guarded)
    await walls.fill()

    assert set((await walls.counts(walls.database)).values()) == {1, 2}
    assert sum((await walls.counts(guarded.for_tenant(walls.bob))).values()) == 1
    await guarded.check_guard()
    async with owner.transaction() as session:
        await session.execute(text("ALTER TABLE uploads NO FORCE ROW LEVEL SECURITY"))
    with pytest.raises(GuardBroken, match="uploads"):
        await check_guard(msgspec.structs.replace(settings, database_url=url))  # as `python -m api` does
    for database in (guarded, walls.database):
        await database.close()


async def test_a_superuser_without_the_role_is_refused_at_the_first_transaction(plain):
    owner, _ = plain
    async with owner.transaction() as session:
        await session.execute(text("REVOKE INSERT ON jobs FROM modelyard_tenant"))
    guarded = Database(owner.engine.url.render_as_string(hide_password=False), acting_for=lambda: None)

    with pytest.raises(GuardBroken, match="jobs"):
        async with guarded.transaction():
            pass

    await guarded.close()


async def test_a_database_that_is_away_is_asked_again_later(settings):
    away = msgspec.structs.replace(
        settings, database_url="postgresql+asyncpg://nobody@/nothing?host=/nowhere"
    )

    await check_guard(away)
