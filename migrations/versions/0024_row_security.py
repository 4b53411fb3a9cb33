"""PostgreSQL keeps tenants apart, whatever a query forgets."""

from alembic import op

from migrations.row_security import guard_by_parent, guard_by_tenant, make_role, unguard, unmake_role

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

OF_TENANTS = ("users", "api_keys", "models", "jobs", "uploads", "deliveries", "schedules")
OF_PARENTS = (  # table, its parent, the column that names it
    ("refresh_tokens", "users", "user_id"),
    ("model_versions", "models", "model_id"),
    ("promotions", "models", "model_id"),
    ("prediction_counts", "model_versions", "version_id"),
    ("job_files", "jobs", "job_id"),
    ("job_logs", "jobs", "job_id"),
    ("chunks", "jobs", "job_id"),
    ("upload_pieces", "uploads", "upload_id"),
    ("delivery_attempts", "deliveries", "delivery_id"),
)


def upgrade() -> None:
    make_role(op)
    guard_by_tenant(op, "tenants", key="id")
    for table in OF_TENANTS:
        guard_by_tenant(op, table)
    for table, parent, key in OF_PARENTS:
        guard_by_parent(op, table, parent=parent, key=key)


def downgrade() -> None:
    for table in ("tenants", *OF_TENANTS, *(table for table, *_ in OF_PARENTS)):
        unguard(op, table)
    unmake_role(op)
