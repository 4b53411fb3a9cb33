"""Sessions. Log-ins of before go on: each living chain of refresh tokens becomes one."""

import sqlalchemy as sa
from alembic import op

from migrations.row_security import guard_by_parent, guard_from_tenants, unguard

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_LIVING = """
INSERT INTO sessions (id, user_id, tenant_id, created_at, last_used_at, expires_at, address, user_agent)
SELECT family_id, min(user_id::text)::uuid, (array_agg(tenant_id ORDER BY created_at DESC, id DESC))[1],
    min(created_at), max(created_at), max(expires_at), '', ''
FROM refresh_tokens GROUP BY family_id HAVING bool_and(revoked_at IS NULL) AND max(expires_at) > now()
"""


def upgrade() -> None:
    unguard(op, "refresh_tokens")
    op.create_table(
        "sessions",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_sessions_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_index(op.f("ix_sessions_tenant_id"), "sessions", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.execute(_LIVING)
    op.execute("DELETE FROM refresh_tokens WHERE family_id NOT IN (SELECT id FROM sessions)")
    op.drop_index(op.f("ix_refresh_tokens_tenant_id"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_family_id"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_user_id"), table_name="refresh_tokens")
    for column in ("user_id", "tenant_id", "expires_at", "revoked_at"):
        op.drop_column("refresh_tokens", column)
    op.alter_column("refresh_tokens", "family_id", new_column_name="session_id")
    op.create_foreign_key(
        op.f("fk_refresh_tokens_session_id_sessions"),
        "refresh_tokens",
        "sessions",
        ["session_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index(op.f("ix_refresh_tokens_session_id"), "refresh_tokens", ["session_id"], unique=False)
    guard_from_tenants(op, "sessions")
    guard_from_tenants(op, "refresh_tokens")


def downgrade() -> None:
    unguard(op, "refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_session_id"), table_name="refresh_tokens")
    op.drop_constraint(op.f("fk_refresh_tokens_session_id_sessions"), "refresh_tokens", type_="foreignkey")
    op.alter_column("refresh_tokens", "session_id", new_column_name="family_id")
    op.add_column("refresh_tokens", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.add_column("refresh_tokens", sa.Column("tenant_id", sa.Uuid(), nullable=True))
    op.add_column("refresh_tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("refresh_tokens", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE refresh_tokens SET user_id = sessions.user_id, tenant_id = sessions.tenant_id,"
        " expires_at = sessions.expires_at"
        " FROM sessions WHERE sessions.id = family_id"
    )
    for column in ("user_id", "tenant_id", "expires_at"):
        op.alter_column("refresh_tokens", column, nullable=False)
    for column, table in (("user_id", "users"), ("tenant_id", "tenants")):
        op.create_foreign_key(
            op.f(f"fk_refresh_tokens_{column}_{table}"),
            "refresh_tokens",
            table,
            [column],
            ["id"],
            ondelete="CASCADE",
        )
        op.create_index(op.f(f"ix_refresh_tokens_{column}"), "refresh_tokens", [column], unique=False)
    op.create_index(op.f("ix_refresh_tokens_family_id"), "refresh_tokens", ["family_id"], unique=False)
    op.drop_index(op.f("ix_sessions_expires_at"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_tenant_id"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_table("sessions")
    guard_by_parent(op, "refresh_tokens", parent="users", key="user_id")
