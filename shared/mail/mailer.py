"""Whoever sends mails: which one, the settings say. The address may hold a password: it is never shown."""

from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from shared.errors import OperatorError
from shared.mail.file_mailer import FileMailer
from shared.mail.mail import Mail
from shared.mail.outcome import MailNotSent
from shared.mail.smtp_mailer import SmtpMailer, SmtpServer
from shared.settings import Settings, SettingsInvalid

_PORTS = {"smtp": 587, "smtps": 465}


class Mailer(Protocol):
    """Sends one mail at a time; several at once."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail over.

        Raises:
            MailNotSent: not now.
            MailRefused: nor later.
        """


class NoMailer:
    """Where the operator named no way: mails wait for one, until they are given up."""

    async def send(self, mail: Mail) -> None:  # noqa: ARG002  as every mailer
        """Refuse; the log then says what is to be set.

        Raises:
            MailNotSent: always.
        """
        raise MailNotSent("MAIL_URL is not set: mails cannot be sent")


def open_mailer(settings: Settings) -> Mailer:
    """The mailer of MAIL_URL and MAIL_FROM.

    Raises:
        SettingsInvalid: one of them does not fit; the text does not repeat it.
    """
    if not settings.mail_url:
        return NoMailer()
    sender = _sender(settings.mail_from)
    parts = urlsplit(settings.mail_url)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return FileMailer(Path(unquote(parts.path)), sender)
    if parts.scheme in _PORTS and parts.hostname and (parts.username is None) == (parts.password is None):
        return SmtpMailer(_server(parts, settings), sender)
    raise SettingsInvalid(
        "MAIL_URL must be file:///folder, smtp://user:password@host:port or smtps://user:password@host:port"
        " (special characters in user and password as %40 and so on)"
    )


def _server(parts: SplitResult, settings: Settings) -> SmtpServer:
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise SettingsInvalid("MAIL_URL: the port must be a number from 1 to 65535") from None
    return SmtpServer(
        host=parts.hostname or "",
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        is_tls=parts.scheme == "smtps",
        needs_tls=settings.environment == "production",
    )


def _sender(text: str) -> Address:
    name, address = parseaddr(text)
    try:
        sender = Address(name, addr_spec=address)
    except (ValueError, IndexError, MessageError) as error:
        raise _no_sender() from error
    if not sender.username or not sender.domain:
        raise _no_sender()
    return sender


def _no_sender() -> OperatorError:
    return SettingsInvalid("MAIL_FROM must be an address, such as Modelyard <modelyard@example.com>")
