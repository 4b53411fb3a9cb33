"""What a job's later life needs: a time that it may take, and retries."""

import sqlalchemy as sa
from alembic import op

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
    op.create_index("ix_jobs_expiring", "jobs", ["expires_at"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_expiring", table_name="jobs")
    for column in ("rows_kept", "retried_at", "retries", "expires_at"):
        op.drop_column("jobs", column)
    op.drop_column("jobs", "expires_after_s")
