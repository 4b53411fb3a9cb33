"""A mail that is being sent, and the message that it becomes."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from uuid import UUID

import msgspec

# Texts as they are where that is possible: for who looks at a file, and servers that take no 8-bit mail.
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=200)


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail in the hands of one sender. `text` may hold a token: it is in no log."""

    id: UUID
    to: str
    subject: str
    text: str
    created_at: datetime
    attempt: int  # from 1


def message_of(mail: Mail, sender: Address) -> EmailMessage:
    """What is sent. Every attempt carries the same `Message-ID`: who gets two can tell that they are one."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    message.set_content(mail.text)
    return message
