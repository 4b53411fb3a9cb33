"""The token of an invitation, and the mail that carries it. No I/O."""

import hashlib
import secrets
from datetime import timedelta

from shared.access.permissions import Role

_SECRET_BYTES = 32
_NAME_SHOWN = 100  # characters of what somebody chose, in a mail to somebody who does not know them

_TEXT = """\
{who} invites you to the organisation "{organization}" on Modelyard, as {role}.

If you have an account with this address, log in and send

    POST {url}/api/v1/invitations/accept
    {{"token": "{token}"}}

If you have none, register with this address and add the token:

    POST {url}/api/v1/auth/register
    {{"email": "{email}", "password": "...", "invitation": "{token}"}}

The token works once, within {days}. Whoever has it and this address can join, so keep it to yourself.
If you do not know {who}, do nothing.
"""


def new_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def token_hash(token: str) -> str:
    """What is stored of a token. It is too random to be guessed from its hash, however fast that is."""
    return hashlib.sha256(token.encode()).hexdigest()


def mail_subject(organization: str) -> str:
    """What the mail is about."""
    return f"You are invited to {organization[:_NAME_SHOWN]} on Modelyard"


def mail_text(
    *, who: str, organization: str, role: Role, email: str, token: str, url: str, ttl: timedelta
) -> str:
    """The whole mail.

    Args:
        who: invites, by name or address.
        url: of the platform.
    """
    return _TEXT.format(
        who=who[:_NAME_SHOWN],
        organization=organization[:_NAME_SHOWN],
        role=role,
        email=email,
        token=token,
        url=url,
        days=_in_words(ttl),
    )


def _in_words(ttl: timedelta) -> str:
    hours = max(1, round(ttl / timedelta(hours=1)))
    return f"{hours // 24} days" if hours % 24 == 0 and hours > 24 else f"{hours} hours"  # noqa: PLR2004
