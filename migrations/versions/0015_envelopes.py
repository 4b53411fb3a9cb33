"""How the rows of a request are answered in one piece."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("envelope", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "envelope")
