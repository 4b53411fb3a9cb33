"""PostgreSQL keeps tenants apart, whatever a query forgets."""

from alembic import op

from migrations.row_security import (
    guard_by_parent,
    guard_by_tenant,
    guard_from_tenants,
    make_role,
    unguard,
    unmake_role,
)

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

OF_TENANTS = (
    "api_keys",
    "models",
    "jobs",
    "uploads",
    "deliveries",
    "schedules",
    "webhook_endpoints",
    "webhook_circuits",
    "members",
    "invitations",
    "audit_log",
    "tenant_days",
)
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
    guard_by_parent(op, "users", parent="members", key="id", parent_key="user_id")
    for table, parent, key in OF_PARENTS:
        guard_by_parent(op, table, parent=parent, key=key)
    guard_from_tenants(op, "mails", may_add=True)


def downgrade() -> None:
    for table in ("tenants", "users", "mails", *OF_TENANTS, *(table for table, *_ in OF_PARENTS)):
        unguard(op, table)
    unmake_role(op)
