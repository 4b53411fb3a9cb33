"""Jobs of several files."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("encoding", sa.String(), nullable=True),
        sa.Column("text_key", sa.String(), nullable=True),
        sa.Column("is_empty", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "index", name=op.f("pk_job_files")),
    )
    op.add_column("jobs", sa.Column("input_files", sa.Integer(), server_default="1", nullable=False))
    op.add_column("jobs", sa.Column("carried", sa.LargeBinary(), nullable=True))
    op.add_column("chunks", sa.Column("file", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("chunks", "file")
    op.drop_column("jobs", "carried")
    op.drop_column("jobs", "input_files")
    op.drop_table("job_files")
