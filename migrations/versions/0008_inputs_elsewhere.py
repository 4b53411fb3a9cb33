"""Inputs of jobs that lie elsewhere until they are fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UNKNOWN_UNTIL_FETCHED = ("input_key", "input_format", "input_size_bytes", "input_digest", "output_format")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("input_url", sa.String(), nullable=True))
    for column in _UNKNOWN_UNTIL_FETCHED:
        op.alter_column("jobs", column, nullable=True)


def downgrade() -> None:
    # What was never fetched has no place in the older table, and could not end there either.
    op.execute("DELETE FROM jobs WHERE input_key IS NULL")
    for column in _UNKNOWN_UNTIL_FETCHED:
        op.alter_column("jobs", column, nullable=False)
    op.drop_column("jobs", "input_url")
