"""Who belongs to which organisation, and who is invited to one. An organisation is a row of `tenants`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.tables import Tenant, User
from shared.clock import utc_now
from shared.database.base import Base, Identified

_IS_ROLE = "role IN ('owner', 'admin', 'member', 'viewer')"


class MemberRow(Base):
    """Somebody's role in an organisation."""

    __tablename__ = "members"
    __table_args__ = (CheckConstraint(_IS_ROLE, name="role"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class InvitationRow(Identified, Base):
    """A mail that lets whoever has its address in; deleted when it is accepted."""

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "email"),
        CheckConstraint(_IS_ROLE, name="role"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    invited_by: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    email: Mapped[str]  # in lower case
    role: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)  # SHA-256, in hexadecimal
    sent_at: Mapped[datetime]  # the newest mail
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]  # kept a while, so that revoking makes no room for more mails
