"""`python -m api.quotas ada@example.com models=50 storage_bytes=default`: the quotas of one tenant.

Without changes it only shows them. For whoever runs the platform: it needs what the API's settings need.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from shared.database.engine import Database
from shared.errors import OperatorError
from shared.quotas.own import change_own_quotas, find_tenant, read_quota
from shared.quotas.usage import Usage, usage_of
from shared.settings import Settings


async def change_quotas(settings: Settings, who: str, changes: Sequence[str]) -> Usage:
    """Change quotas of the tenant, and tell how all of them stand.

    Args:
        who: id of the tenant, or the email address of one of its users.
        changes: as `models=50`, `models=0` (no quota) or `models=default`.

    Raises:
        NoSuchTenant, QuotaUnreadable: nothing was changed.
    """
    asked = dict(map(read_quota, changes))
    database = Database(settings.database_url, connections=1)
    try:
        async with database.transaction() as session:
            tenant_id = await find_tenant(session, who)
            if asked:
                await change_own_quotas(session, tenant_id, asked)
            return await usage_of(session, tenant_id, settings=settings, counted={})
    finally:
        await database.close()


def main() -> None:
    """The command."""
    who, *changes = sys.argv[1:] or [""]
    if not who or who.startswith("-"):
        sys.exit("usage: python -m api.quotas EMAIL|TENANT_ID [NAME=NUMBER|NAME=default ...]")
    try:
        usage = asyncio.run(change_quotas(Settings.from_env(os.environ), who, changes))
    except OperatorError as error:
        sys.exit(str(error))
    for quota in usage.quotas:
        limit = "no quota" if quota.limit is None else f"of {quota.limit}"
        sys.stdout.write(f"{quota.name:<24}{quota.used:>16} {limit}\n")


if __name__ == "__main__":
    main()
