"""What a tenant has used on each day."""

from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.database.base import Base


class TenantDayRow(Base):
    """Sums of one day in UTC. Kept when the models that were used are gone."""

    __tablename__ = "tenant_days"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    requests: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # to predict
    prediction_rows: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # that they had
    job_rows: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
