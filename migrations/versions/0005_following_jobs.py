"""When the rows of chunks were predicted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chunks", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("chunks", sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("chunks", "counted_at")
    op.drop_column("chunks", "started_at")
