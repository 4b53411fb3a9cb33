"""Endpoints that events are sent to, and which receivers fail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", postgresql.JSONB(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("salt_before", sa.LargeBinary(), nullable=True),
        sa.Column("salt_before_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_webhook_endpoints_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_webhook_endpoints_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index(
        "ix_webhook_endpoints_tenant_id_id", "webhook_endpoints", ["tenant_id", "id"], unique=False
    )
    op.create_table(
        "webhook_circuits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_webhook_circuits_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "target", name=op.f("pk_webhook_circuits")),
    )
    for name, kind in (
        ("webhook_salt_before", sa.LargeBinary()),
        ("webhook_salt_before_until", sa.DateTime(timezone=True)),
    ):
        op.add_column("tenants", sa.Column(name, kind, nullable=True))
    op.add_column("deliveries", sa.Column("endpoint_id", sa.Uuid(), nullable=True))
    op.add_column("deliveries", sa.Column("target", sa.String(), nullable=True))
    # Host and port of what was recorded before; a port left out is spelled out from here on.
    op.execute(
        "UPDATE deliveries SET target = lower(coalesce(substring(url from '^[a-zA-Z]+://([^/?#]+)'), url))"
    )
    op.alter_column("deliveries", "target", nullable=False)
    op.add_column(
        "deliveries", sa.Column("attempts_before", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_foreign_key(
        op.f("fk_deliveries_endpoint_id_webhook_endpoints"),
        "deliveries",
        "webhook_endpoints",
        ["endpoint_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_deliveries_endpoint_id_id", "deliveries", ["endpoint_id", "id"], unique=False)
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["tenant_id", "target", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_deliveries_running",
        "deliveries",
        ["tenant_id", "lease_until"],
        unique=False,
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_ended",
        "deliveries",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status <> 'pending'"),
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_ended", table_name="deliveries")
    op.drop_index("ix_deliveries_running", table_name="deliveries")
    op.drop_index("ix_deliveries_waiting", table_name="deliveries")
    op.drop_index("ix_deliveries_endpoint_id_id", table_name="deliveries")
    op.drop_constraint(op.f("fk_deliveries_endpoint_id_webhook_endpoints"), "deliveries", type_="foreignkey")
    for name in ("attempts_before", "target", "endpoint_id"):
        op.drop_column("deliveries", name)
    for name in ("webhook_salt_before_until", "webhook_salt_before"):
        op.drop_column("tenants", name)
    op.drop_table("webhook_circuits")
    op.drop_index("ix_webhook_endpoints_tenant_id_id", table_name="webhook_endpoints")
    op.drop_table("webhook_endpoints")
