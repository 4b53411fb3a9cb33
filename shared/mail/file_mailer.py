"""Writes mails into a folder, for those who try the platform out: each is a file for its owner's eyes."""

import asyncio
import os
from email.headerregistry import Address
from pathlib import Path

import structlog

from shared.mail.mail import Mail, message_of
from shared.mail.outcome import MailNotSent

log = structlog.get_logger()


class FileMailer:
    """Mails as `{id}.eml`, which mail programs open."""

    def __init__(self, folder: Path, sender: Address) -> None:
        self._folder, self._sender = folder, sender

    async def send(self, mail: Mail) -> None:
        """Write the mail; again, if it was written already.

        Raises:
            MailNotSent: the folder cannot be written to.
        """
        content = message_of(mail, self._sender).as_bytes()
        path = self._folder / f"{mail.id}.eml"
        try:
            await asyncio.to_thread(_write, path, content)
        except OSError as error:
            raise MailNotSent(f"{path} cannot be written: {error.strerror}") from error
        log.info("mail_written", mail_id=str(mail.id), path=str(path))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    unfinished.rename(path)
