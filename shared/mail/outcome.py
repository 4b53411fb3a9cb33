"""What may come of an attempt to send a mail, other than that it was sent."""

from shared.errors import OperatorError


class MailNotSent(OperatorError):
    """Nobody took the mail; somebody may later."""

    code = "mail_not_sent"


class MailRefused(MailNotSent):
    """The server will not take this mail, however often it is tried."""

    code = "mail_refused"
