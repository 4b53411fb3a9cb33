"""Counts of predictions, by version and minute."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prediction_counts",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("cache_hits", sa.BigInteger(), nullable=False),
        sa.Column("queue_us", sa.BigInteger(), nullable=False),
        sa.Column("compute_us", sa.BigInteger(), nullable=False),
        sa.Column("total_us", sa.BigInteger(), nullable=False),
        sa.Column("outcomes", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("queue", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("compute", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("total", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["model_versions.id"],
            name=op.f("fk_prediction_counts_version_id_model_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("version_id", "start", "seconds", name=op.f("pk_prediction_counts")),
    )
    op.create_index("ix_prediction_counts_seconds_start", "prediction_counts", ["seconds", "start"])


def downgrade() -> None:
    op.drop_table("prediction_counts")
