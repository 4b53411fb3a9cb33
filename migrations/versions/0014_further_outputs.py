"""What jobs write beside the prediction."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("further_outputs", JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("jobs", "further_outputs")
