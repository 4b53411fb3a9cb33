"""The migrations must lead from nothing to the tables that the code names, and back."""

import asyncio
import subprocess
import sys
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import text

from shared.database.engine import Database
from tests.fixtures.servers import ROOT, create_database, migration_config


@pytest.fixture
def empty_database(postgres_url: str) -> str:
    return asyncio.run(create_database(postgres_url, f"migrations_{uuid4()}", template="template0"))


def test_the_newest_tables_are_those_that_the_code_names(empty_database):
    config = migration_config(empty_database)

    command.upgrade(config, "head")

    command.check(config)  # raises when a table, a column, a default or a key differs


def test_every_migration_can_be_taken_back(empty_database):
    config = migration_config(empty_database)
    command.upgrade(config, "head")

    command.downgrade(config, "base")

    assert tables_in(empty_database) == ["alembic_version"]


def test_a_migration_taken_back_can_be_made_again(empty_database):
    config = migration_config(empty_database)
    command.upgrade(config, "head")
    command.downgrade(config, "base")

    command.upgrade(config, "head")

    command.check(config)


def test_releases_that_start_together_do_not_disturb_each_other(empty_database):
    releases = [release(empty_database) for _ in range(3)]

    exit_codes = [process.wait(timeout=60) for process in releases]

    assert exit_codes == [0, 0, 0]
    command.check(migration_config(empty_database))


def test_whoever_had_a_tenant_owns_it(empty_database):
    config = migration_config(empty_database)
    command.upgrade(config, "0017")  # the last without members
    ask(
        empty_database,
        "INSERT INTO tenants (id, name, webhook_salt, created_at) SELECT gen_random_uuid(), 'Ada', '', now()",
        "INSERT INTO users (id, tenant_id, email, full_name, password_hash, created_at)"
        " SELECT gen_random_uuid(), id, 'ada@example.com', 'Ada', '!', now() FROM tenants",
    )

    command.upgrade(config, "head")

    query = (
        "SELECT role FROM members JOIN users ON user_id = users.id AND members.tenant_id = users.tenant_id"
    )
    assert ask(empty_database, query) == ["owner"]


def release(database_url: str) -> subprocess.Popen:
    """As the Procfile's release does it."""
    arguments = [sys.executable, "-m", "alembic", "upgrade", "head"]
    return subprocess.Popen(arguments, cwd=ROOT, env={"DATABASE_URL": database_url})


def tables_in(url: str) -> list[str]:
    return ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")


def ask(url: str, *statements: str) -> list[str]:
    """The first column of what the last statement finds."""

    async def run() -> list[str]:
        database = Database(url, connections=1)
        async with database.transaction() as session:
            results = [await session.execute(text(statement)) for statement in statements]
            found = list(results[-1].scalars()) if results[-1].returns_rows else []
        await database.close()
        return found

    return asyncio.run(run())
