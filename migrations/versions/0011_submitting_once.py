"""By what a submission is known again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("client_id", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("idempotency_key", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("submission_digest", sa.String(), nullable=True))
    for column in ("client_id", "idempotency_key"):
        op.create_index(
            f"ix_jobs_{column}",
            "jobs",
            ["tenant_id", column],
            unique=True,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def downgrade() -> None:
    op.drop_index("ix_jobs_idempotency_key", table_name="jobs")
    op.drop_index("ix_jobs_client_id", table_name="jobs")
    op.drop_column("jobs", "submission_digest")
    op.drop_column("jobs", "idempotency_key")
    op.drop_column("jobs", "client_id")
