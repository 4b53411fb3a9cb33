"""Sends mails by SMTP, in threads of their own: the library waits for its server."""

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.headerregistry import Address
from email.message import EmailMessage

import msgspec

from shared.mail.mail import Mail, message_of
from shared.mail.outcome import MailNotSent, MailRefused

_ANSWER_S = 10  # for which the server may be silent
_WHOLE_S = 20  # of an attempt in all
_THREADS = 4
_PERMANENT = range(500, 600)  # answers that will not change (RFC 5321, section 4.2.1)
_SHOWN = 200  # characters of what a server answers


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails are handed over."""

    host: str
    port: int
    user: str  # empty: none is told
    password: str
    is_tls: bool  # from the first byte on, rather than after STARTTLS
    needs_tls: bool  # without STARTTLS nothing is sent


class SmtpMailer:
    """A connection for each mail."""

    def __init__(self, server: SmtpServer, sender: Address) -> None:
        self._server, self._sender = server, sender
        self._tls = ssl.create_default_context()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")

    async def send(self, mail: Mail) -> None:
        """Hand the mail to the server.

        Raises:
            MailNotSent: it is away, does not let us in, or is too busy.
            MailRefused: it will never take this mail.
        """
        message = message_of(mail, self._sender)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_WHOLE_S):
                await loop.run_in_executor(self._threads, self._hand_over, message, mail.to)
        except smtplib.SMTPException as error:
            kind = MailRefused if _is_final(error) else MailNotSent
            raise kind(f"the mail server answered: {_answer(error)}") from error
        except OSError as error:  # TimeoutError among them
            raise MailNotSent(
                f"the mail server does not answer: {str(error) or type(error).__name__}"
            ) from error

    def _hand_over(self, message: EmailMessage, to: str) -> None:
        with self._connect() as connection:
            if not self._server.is_tls:
                self._start_tls(connection)
            if self._server.user:
                connection.login(self._server.user, self._server.password)
            connection.send_message(message, self._sender.addr_spec, [to])

    def _connect(self) -> smtplib.SMTP:
        server, ourselves = self._server, self._sender.domain
        if not server.is_tls:
            return smtplib.SMTP(server.host, server.port, ourselves, timeout=_ANSWER_S)
        return smtplib.SMTP_SSL(server.host, server.port, ourselves, timeout=_ANSWER_S, context=self._tls)

    def _start_tls(self, connection: smtplib.SMTP) -> None:
        connection.ehlo()
        if self._server.needs_tls or connection.has_extn("starttls"):
            connection.starttls(context=self._tls)  # raises where it is not offered


def _is_final(error: smtplib.SMTPException) -> bool:
    """Whether it is about this mail, and will not change: not about us, nor the connection."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code in _PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code in _PERMANENT


def _answer(error: smtplib.SMTPException) -> str:
    """The server's words."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return _shown(code, words)
    if isinstance(error, smtplib.SMTPResponseException):
        return _shown(error.smtp_code, error.smtp_error)
    return str(error)[:_SHOWN]


def _shown(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return f"{code} {text}"[:_SHOWN]
