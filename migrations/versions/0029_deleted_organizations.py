"""Organisations that were deleted, until the scheduler has removed what they had; no user goes with one."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_HOME = "fk_users_tenant_id_tenants"


def upgrade() -> None:
    op.add_column("tenants", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tenants_deleted_at",
        "tenants",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.drop_constraint(_HOME, "users", type_="foreignkey")
    op.create_foreign_key(_HOME, "users", "tenants", ["tenant_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(_HOME, "users", type_="foreignkey")
    op.create_foreign_key(_HOME, "users", "tenants", ["tenant_id"], ["id"], ondelete="CASCADE")
    op.drop_index("ix_tenants_deleted_at", table_name="tenants")
    op.drop_column("tenants", "deleted_at")
