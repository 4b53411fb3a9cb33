"""Passwords that are being reset."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified


class ResetRequest(Identified, Base):
    """Somebody named an address. Whether it has an account is looked up later, where nobody can time it."""

    __tablename__ = "password_reset_requests"

    email: Mapped[str]  # as accounts spell it


class PasswordReset(Identified, Base):
    """A token that was mailed to a user: who has it may set their password, once."""

    __tablename__ = "password_resets"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)  # SHA-256
    expires_at: Mapped[datetime] = mapped_column(index=True)
