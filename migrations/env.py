"""Runs migrations over asyncpg, on the database that the settings name."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import shared.access.oidc.tables
import shared.access.reset_tables
import shared.access.session_tables
import shared.access.tables
import shared.access.team_tables
import shared.analytics.tables
import shared.audit.tables
import shared.catalog.tables
import shared.jobs.tables
import shared.mail.tables
import shared.quotas.tables
import shared.uploads.tables
import shared.webhooks.tables  # noqa: F401  they are imported for what they add to the metadata
from shared.database.base import Base

# Two releases that start together must not both migrate: the second waits for the first.
_MIGRATION_LOCK = 0x6D6F64656C  # "model"


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(context.config.attributes.get("url") or os.environ["DATABASE_URL"])
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
