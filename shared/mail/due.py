"""Mails that are due: claimed by one sender, and then sent, put off or given up.

A claim is a lease by the database's clock: a sender that dies with a mail in hand leaves it to the next one.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.mail.mail import Mail
from shared.mail.tables import MailRow

# Seconds from one attempt to the next; about a day in all. Then the mail is given up.
DELAYS_S: Final = (10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
MAX_ATTEMPTS: Final = len(DELAYS_S) + 1
_LEASE = timedelta(seconds=60)  # longer than an attempt may take
_AT_ONCE = 8  # mails that one round claims


async def claim_due(session: AsyncSession) -> list[Mail]:
    """Some mails whose time has come, for one attempt each, which counts whatever becomes of its sender."""
    due = (
        select(MailRow.id)
        .where(MailRow.next_attempt_at <= func.now())
        .order_by(MailRow.next_attempt_at)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte()
    )
    claimed = await session.scalars(
        update(MailRow)
        .where(MailRow.id == due.c.id)
        .values(attempts=MailRow.attempts + 1, next_attempt_at=func.now() + _LEASE)
        .returning(MailRow)
    )
    return [_mail(row) for row in claimed]


async def remove(session: AsyncSession, mail: Mail) -> None:
    """It was sent, or is given up. Nothing where another sender has it by now."""
    await session.execute(delete(MailRow).where(MailRow.id == mail.id, MailRow.attempts == mail.attempt))


async def put_off(session: AsyncSession, mail: Mail, *, delay_s: float) -> None:
    """Try it again later, unless another sender has it by now."""
    await session.execute(
        update(MailRow)
        .where(MailRow.id == mail.id, MailRow.attempts == mail.attempt)
        .values(next_attempt_at=func.now() + timedelta(seconds=delay_s))
    )


def delay_after(attempt: int) -> int | None:
    """Seconds from an attempt that failed to the next; None where there is none."""
    return DELAYS_S[attempt - 1] if attempt <= len(DELAYS_S) else None


def _mail(row: MailRow) -> Mail:
    return Mail(
        id=row.id,
        to=row.to,
        subject=row.subject,
        text=row.text,
        created_at=row.created_at,
        attempt=row.attempts,
    )
