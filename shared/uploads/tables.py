"""Files that arrive in several requests, and the pieces of each that are there."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant
from shared.database.base import Base, Identified


class UploadRow(Identified, Base):
    """A file on its way, or one that is there and waits to be used."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_tenant_id_id", "tenant_id", "id"),
        Index("ix_uploads_open", "expires_at", postgresql_where=text("ended_at IS NULL")),
        Index("ix_uploads_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    key_id: Mapped[UUID | None]  # of the API key that began it, where that was confined to some models
    file_name: Mapped[str]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)  # of the whole; None until it is known
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # all before it is stored for good
    asked_digest: Mapped[str | None]  # what the sender says that the SHA-256 is
    fence: Mapped[int] = mapped_column(default=0)  # rises with every request: only the newest may add
    key: Mapped[str | None]  # the whole file, once it is complete
    digest: Mapped[str | None]  # its SHA-256, hexadecimal
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # abandoned or expired; what lies in storage goes a while later


class PieceRow(Base):
    """A part of an upload that is not complete. Together they leave no gap up to the upload's offset."""

    __tablename__ = "upload_pieces"

    upload_id: Mapped[UUID] = mapped_column(ForeignKey(UploadRow.id, ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # in the file, bytes
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
