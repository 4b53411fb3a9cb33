"""Mails that are to be sent."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from shared.clock import utc_now
from shared.database.base import Base, Identified


class MailRow(Identified, Base):
    """A mail that waits; once sent, or given up, its row is removed: it may hold a token."""

    __tablename__ = "mails"
    __table_args__ = (Index("ix_mails_next_attempt_at", "next_attempt_at"),)

    to: Mapped[str]  # an address
    subject: Mapped[str]
    text: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)  # counted when somebody claims it
    next_attempt_at: Mapped[datetime] = mapped_column(default=utc_now)
