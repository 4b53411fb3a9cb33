"""Mails are queued in the transaction that causes them: neither is there without the other."""

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from shared.mail.tables import MailRow

MAX_SUBJECT = 200
MAX_TEXT = 20_000


async def queue_mail(session: AsyncSession, *, to: str, subject: str, text: str) -> None:
    """Send a mail after the commit, sooner or later; nobody waits for it.

    Args:
        to: an address that was checked.
        subject: one line; cut where it is longer than MAX_SUBJECT characters.
        text: plain; cut where it is longer than MAX_TEXT.
    """
    line = " ".join(subject.split())[:MAX_SUBJECT]
    session.add(MailRow(to=to, subject=line, text=text[:MAX_TEXT], next_attempt_at=func.now()))
    await session.flush()
