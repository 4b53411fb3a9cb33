"""What becomes of rows that cannot be predicted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("on_error", sa.String(), server_default="fail", nullable=False))
    op.add_column("jobs", sa.Column("errors_files", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("chunks", sa.Column("rows_failed", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("chunks", "rows_failed")
    op.drop_column("jobs", "errors_files")
    op.drop_column("jobs", "on_error")
