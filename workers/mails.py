"""Sends the mails that are due. Safe to do twice at once: each mail is claimed by one."""

import asyncio

import structlog

from shared.database.engine import Database
from shared.mail.due import MAX_ATTEMPTS, claim_due, delay_after, put_off, remove
from shared.mail.mail import Mail
from shared.mail.mailer import Mailer
from shared.mail.outcome import MailNotSent, MailRefused

log = structlog.get_logger()


class MailRound:
    """A round sends a few mails side by side. The log never holds a mail's text, nor to whom it went."""

    def __init__(self, database: Database, mailer: Mailer) -> None:
        self._database, self._mailer = database, mailer

    async def send_due(self) -> None:
        """Attempt what is due, and write down what came of it."""
        async with self._database.transaction() as session:
            claimed = await claim_due(session)
        await asyncio.gather(*(self._attempt(mail) for mail in claimed))

    async def _attempt(self, mail: Mail) -> None:
        if mail.attempt > MAX_ATTEMPTS:  # the sender of its last attempt died
            await self._give_up(mail, "its last attempt was not heard of again")
            return
        try:
            await self._mailer.send(mail)
        except MailRefused as error:
            await self._give_up(mail, str(error))
        except MailNotSent as error:
            await self._put_off(mail, str(error))
        else:
            await self._remove(mail)
            log.info("mail_sent", mail_id=str(mail.id), attempt=mail.attempt)

    async def _put_off(self, mail: Mail, error: str) -> None:
        delay_s = delay_after(mail.attempt)
        if delay_s is None:
            await self._give_up(mail, error)
            return
        async with self._database.transaction() as session:
            await put_off(session, mail, delay_s=delay_s)
        log.warning(
            "mail_not_sent", mail_id=str(mail.id), attempt=mail.attempt, error=error, again_in_s=delay_s
        )

    async def _give_up(self, mail: Mail, error: str) -> None:
        await self._remove(mail)
        log.error("mail_given_up", mail_id=str(mail.id), attempt=mail.attempt, error=error)

    async def _remove(self, mail: Mail) -> None:
        async with self._database.transaction() as session:
            await remove(session, mail)
