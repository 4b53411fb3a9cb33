"""How the text of a job's file is encoded, and where it lies once it is unpacked."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("input_encoding", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("text_key", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "text_key")
    op.drop_column("jobs", "input_encoding")
