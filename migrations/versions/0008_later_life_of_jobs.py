"""What jobs need after their end: a time that they may take."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expires_after_s", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_jobs_expiring", "jobs", ["expires_at"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_expiring", table_name="jobs")
    op.drop_column("jobs", "expires_at")
    op.drop_column("jobs", "expires_after_s")
