"""Sessions: what began with a log-in, and goes on while its refresh tokens are spent one after another."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified


class SessionRow(Identified, Base):
    """A session. Once ended its row is gone, and with it its refresh tokens."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # The organisation that it acts in: where the user logged in to, or last switched to.
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)  # unless it is renewed
    last_used_at: Mapped[datetime]  # to the minute
    address: Mapped[str]  # from which it was begun or last renewed; empty: a Unix socket
    user_agent: Mapped[str]  # likewise


class RefreshToken(Identified, Base):
    """One link of a session's chain: each renewal spends a token and makes the next."""

    __tablename__ = "refresh_tokens"

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    used_at: Mapped[datetime | None]
