"""When the rows of chunks were predicted, and what was told of a job's progress."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chunks", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("chunks", sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "jobs", sa.Column("tells_progress", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("jobs", sa.Column("progress_told_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("progress_told_rows", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "progress_told_rows")
    op.drop_column("jobs", "progress_told_at")
    op.drop_column("jobs", "tells_progress")
    op.drop_column("chunks", "counted_at")
    op.drop_column("chunks", "started_at")
