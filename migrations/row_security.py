"""Policies by which PostgreSQL keeps tenants apart. A migration that makes a table guards it with one line.

A transaction that has named its tenant (shared/database/guard.py) sees that tenant's rows and writes no
other; one that has not, a worker's or an operator's, sees all. A role of its own is for users that no policy
holds.
"""

from typing import Any, Final

_POLICY: Final = "tenant"
_ADD: Final = "add"

# Each in a SELECT of its own: PostgreSQL asks once a statement, not once a row.
_ALL: Final = "(SELECT coalesce(current_setting('modelyard.tenant', true), '') = '')"
_TENANT: Final = "(SELECT nullif(current_setting('modelyard.tenant', true), '')::uuid)"

# A user that may make no roles needs none: only superusers and BYPASSRLS are above policies. Migrations of
# several databases of a server may run side by side, and roles are the server's.
_MAKE_ROLE: Final = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'modelyard_tenant') THEN
        CREATE ROLE modelyard_tenant NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""
# Who is no superuser, but exempt all the same, must be a member to take it on.
_JOIN_ROLE: Final = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolbypassrls AND NOT rolsuper) THEN
        GRANT modelyard_tenant TO CURRENT_USER;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege OR undefined_object THEN NULL;
END $$
"""
_LET_ROLE: Final = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'modelyard_tenant') THEN
        GRANT USAGE ON SCHEMA public TO modelyard_tenant;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO modelyard_tenant;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO modelyard_tenant;
        REVOKE ALL ON alembic_version FROM modelyard_tenant;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO modelyard_tenant;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO modelyard_tenant;
    END IF;
END $$
"""
# The role stays, as other databases of the server may use it.
_UNLET_ROLE: Final = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'modelyard_tenant') THEN
        ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM modelyard_tenant;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM modelyard_tenant;
        REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM modelyard_tenant;
        REVOKE ALL ON ALL TABLES IN SCHEMA public FROM modelyard_tenant;
        REVOKE ALL ON SCHEMA public FROM modelyard_tenant;
    END IF;
END $$
"""


def guard_by_tenant(op: Any, table: str, *, key: str = "tenant_id") -> None:
    """A row belongs to the tenant that its column `key` names."""
    _guard(op, table, belongs=f"{table}.{key} = {_TENANT}")


def guard_by_parent(op: Any, table: str, *, parent: str, key: str, parent_key: str = "id") -> None:
    """A row belongs to whom the row of `parent` belongs to that its column `key` names.

    What the parent's own policy hides is not found here either.
    """
    # Of names that migrations write, as all of this file is: nothing comes from outside.
    belongs = f"EXISTS (SELECT FROM {parent} parent WHERE parent.{parent_key} = {table}.{key})"
    _guard(op, table, belongs=belongs)


def guard_from_tenants(op: Any, table: str, *, may_add: bool = False) -> None:
    """No row belongs to any tenant: whoever acts for one sees none.

    Args:
        may_add: they may add rows all the same, as to an outbox; without `RETURNING`, which would show them.
    """
    _guard(op, table, belongs="false")
    if may_add:
        op.execute(f"CREATE POLICY {_ADD} ON {table} FOR INSERT WITH CHECK (true)")


def unguard(op: Any, table: str) -> None:
    """Take the guard back. A table that is dropped needs none."""
    op.execute(f"DROP POLICY {_POLICY} ON {table}")
    op.execute(f"DROP POLICY IF EXISTS {_ADD} ON {table}")
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")


def make_role(op: Any) -> None:
    """The role that superusers take on, where it may be made, and what it may do: all but the policies."""
    for statement in (_MAKE_ROLE, _JOIN_ROLE, _LET_ROLE):
        op.execute(statement)


def unmake_role(op: Any) -> None:
    """Take from the role what it may do in this database."""
    op.execute(_UNLET_ROLE)


def _guard(op: Any, table: str, *, belongs: str) -> None:
    sees = f"{_ALL} OR {belongs}"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {_POLICY} ON {table} USING ({sees}) WITH CHECK ({sees})")
