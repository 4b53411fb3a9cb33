"""Models, their versions, and which version was made to serve when."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.clock import utc_now
from shared.database.base import Base, Identified


class ModelRow(Identified, Base):
    """A name under which versions are served."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    last_version_number: Mapped[int] = mapped_column(default=0)  # never given twice, even after a delete
    current_version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("model_versions.id", ondelete="SET NULL", use_alter=True)
    )
    settings: Mapped[dict[str, Any]] = mapped_column(  # shared.catalog.model_settings.ModelSettings
        default=dict, server_default=text("'{}'")
    )
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class VersionRow(Identified, Base):
    """One uploaded artifact of a model, and what a model host said of it."""

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey(ModelRow.id, ondelete="CASCADE"), index=True)
    number: Mapped[int]
    status: Mapped[str] = mapped_column(index=True)  # shared.catalog.version.VersionStatus
    model_type: Mapped[str | None]  # what the uploader says it is; the verdict says what it is
    file_name: Mapped[str]
    artifact_key: Mapped[str]
    artifact_digest: Mapped[str]  # SHA-256, hexadecimal
    artifact_size_bytes: Mapped[int] = mapped_column(BigInteger)
    sample_key: Mapped[str | None]
    sample_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    verdict: Mapped[dict[str, Any] | None]  # shared.catalog.verdict.Verdict
    ready_at: Mapped[datetime | None]
    validation_attempts: Mapped[int] = mapped_column(default=0)  # counted when a worker claims it
    lease_until: Mapped[datetime | None]  # of the worker that is validating it


class PromotionRow(Identified, Base):
    """A version became the one that serves. Rollback undoes the newest."""

    __tablename__ = "promotions"

    model_id: Mapped[UUID] = mapped_column(ForeignKey(ModelRow.id, ondelete="CASCADE"), index=True)
    version_id: Mapped[UUID] = mapped_column(ForeignKey(VersionRow.id, ondelete="CASCADE"), index=True)
    undone_at: Mapped[datetime | None]
