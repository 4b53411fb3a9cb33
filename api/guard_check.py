"""Asked before anybody is answered: would PostgreSQL keep tenants apart?"""

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.access.acting import acting_tenant
from shared.database.engine import Database
from shared.settings import Settings

log = structlog.get_logger()


async def check_guard(settings: Settings) -> None:
    """Look; a PostgreSQL that is away is asked again at the first transaction, which fails if it would not.

    Raises:
        GuardBroken: it would not; the text says what to do.
    """
    database = Database(settings.database_url, connections=1, acting_for=acting_tenant)
    try:
        await database.check_guard()
    except (OSError, SQLAlchemyError, asyncpg.PostgresError) as error:
        log.warning("not checked whether postgres keeps tenants apart", error=type(error).__name__)
    finally:
        await database.close()
