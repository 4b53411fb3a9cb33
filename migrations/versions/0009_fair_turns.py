"""Priorities of jobs, and what is needed to find the chunk whose turn it is."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("status <> 'done'")
_RUNNING = sa.text("status = 'running'")
_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", sa.String(), server_default="normal", nullable=False))
    op.add_column("jobs", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_jobs_tenant_id_claimed_at", "jobs", ["tenant_id", "claimed_at"])
    op.create_index("ix_jobs_open", "jobs", ["tenant_id"], postgresql_where=_OPEN)
    op.drop_index("ix_chunks_unfinished", table_name="chunks")
    op.create_index("ix_chunks_unfinished", "chunks", ["job_id", "index"], postgresql_where=_UNFINISHED)
    op.create_index("ix_chunks_running", "chunks", ["lease_until"], postgresql_where=_RUNNING)


def downgrade() -> None:
    op.drop_index("ix_chunks_running", table_name="chunks")
    op.drop_index("ix_chunks_unfinished", table_name="chunks")
    op.create_index("ix_chunks_unfinished", "chunks", ["status", "lease_until"], postgresql_where=_UNFINISHED)
    op.drop_index("ix_jobs_open", table_name="jobs")
    op.drop_index("ix_jobs_tenant_id_claimed_at", table_name="jobs")
    op.drop_column("jobs", "claimed_at")
    op.drop_column("jobs", "priority")
