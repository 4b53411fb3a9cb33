"""By which confined API key an upload was begun."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("key_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("uploads", "key_id")
