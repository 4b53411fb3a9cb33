"""What a job's later life needs: a time that it may take, retries, results of what was finished, an end."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expires_after_s", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("retries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("retried_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("rows_kept", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("result_rows", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("head", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("jobs", sa.Column("files_removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_jobs_ended", "jobs", ["ended_at"])
    kept = sa.text("ended_at IS NOT NULL AND files_removed_at IS NULL")
    op.create_index("ix_jobs_kept", "jobs", ["ended_at"], postgresql_where=kept)
    op.create_index("ix_jobs_expiring", "jobs", ["expires_at"], postgresql_where=sa.text("ended_at IS NULL"))
    _forget_swept_chunks()


def _forget_swept_chunks() -> None:
    """Until now the parts of jobs that ended early were removed: retried, these begin from the start."""
    early = "ended_at IS NOT NULL AND status <> 'succeeded'"
    op.execute(f"DELETE FROM chunks WHERE job_id IN (SELECT id FROM jobs WHERE {early})")  # noqa: S608  a constant
    op.execute(f"UPDATE jobs SET text_key = NULL, attempts = 0 WHERE {early}")  # noqa: S608  likewise


def downgrade() -> None:
    op.drop_index("ix_jobs_expiring", table_name="jobs")
    op.drop_index("ix_jobs_kept", table_name="jobs")
    op.drop_index("ix_jobs_ended", table_name="jobs")
    for column in (
        "deleted_at",
        "files_removed_at",
        "head",
        "result_rows",
        "rows_kept",
        "retried_at",
        "retries",
        "expires_at",
    ):
        op.drop_column("jobs", column)
    op.drop_column("jobs", "expires_after_s")
