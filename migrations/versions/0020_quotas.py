"""What tenants may have and use: their own quotas, the sizes of what they have, and what each day took."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As shared/jobs/tables.py has it.
_STORED_BYTES = """
COALESCE(input_size_bytes, (0)::bigint) + COALESCE(result_size_bytes, (0)::bigint)
 + COALESCE(((errors_files #>> '{csv,size_bytes}'::text[]))::bigint, (0)::bigint)
 + COALESCE(((errors_files #>> '{jsonl,size_bytes}'::text[]))::bigint, (0)::bigint)
 + COALESCE(((errors_files #>> '{parquet,size_bytes}'::text[]))::bigint, (0)::bigint)
"""


def upgrade() -> None:
    op.add_column(
        "tenants", sa.Column("quotas", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
    )
    op.create_index(
        "ix_tenants_own_quotas", "tenants", ["id"], postgresql_where=sa.text("quotas <> '{}'"), unique=False
    )
    op.add_column("model_versions", sa.Column("sample_size_bytes", sa.BigInteger(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column("stored_bytes", sa.BigInteger(), sa.Computed(_STORED_BYTES, persisted=True), nullable=True),
    )
    op.create_index(
        "ix_jobs_stored",
        "jobs",
        ["tenant_id"],
        unique=False,
        postgresql_include=["stored_bytes"],
        postgresql_where=sa.text("files_removed_at IS NULL AND deleted_at IS NULL"),
    )
    op.create_table(
        "tenant_days",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("prediction_rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("job_rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_days_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_tenant_days")),
    )


def downgrade() -> None:
    op.drop_table("tenant_days")
    op.drop_index("ix_jobs_stored", table_name="jobs")
    op.drop_column("jobs", "stored_bytes")
    op.drop_column("model_versions", "sample_size_bytes")
    op.drop_index("ix_tenants_own_quotas", table_name="tenants")
    op.drop_column("tenants", "quotas")
