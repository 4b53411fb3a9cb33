"""What an API key may do and for how long, and its secret before a rotation."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("scopes", sa.ARRAY(sa.String()), nullable=True))
    op.add_column("api_keys", sa.Column("models", sa.ARRAY(sa.Uuid()), nullable=True))
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_keys", sa.Column("rate_limit", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_hash", sa.String(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("previous_expires_at", "previous_hash", "rate_limit", "expires_at", "models", "scopes"):
        op.drop_column("api_keys", name)
