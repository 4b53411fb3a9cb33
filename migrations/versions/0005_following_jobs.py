"""When the rows of chunks were predicted, what was told of a job's progress, and what its model printed."""

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
    op.create_table(
        "job_logs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("printed_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_logs_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_logs")),
    )


def downgrade() -> None:
    op.drop_table("job_logs")
    op.drop_column("jobs", "progress_told_rows")
    op.drop_column("jobs", "progress_told_at")
    op.drop_column("jobs", "tells_progress")
    op.drop_column("chunks", "counted_at")
    op.drop_column("chunks", "started_at")
