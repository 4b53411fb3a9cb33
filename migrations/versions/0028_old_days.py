"""Days that were used long ago are found without looking at all of them."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tenant_days_day", "tenant_days", ["day"])


def downgrade() -> None:
    op.drop_index("ix_tenant_days_day", table_name="tenant_days")
