"""What an account may be called, and what makes a password acceptable. No I/O."""

import re
import unicodedata

from shared.errors import FieldError, InvalidInput

PASSWORD_MIN = 8  # characters
_EMAIL_MAX, _LOCAL_MAX = 254, 64  # characters, RFC 5321

# Deliberately loose: the only proof of an address is a mail that arrives.
_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f\"(),:;<>@\[\\\]]+")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")


def normal_email(text: str) -> str:
    """The one spelling of an address under which an account is kept: trimmed, composed, in lower case.

    Raises:
        InvalidInput: it is no email address.
    """
    email = unicodedata.normalize("NFC", text.strip()).lower()
    local, _, domain = email.rpartition("@")
    labels = domain.split(".")
    if (
        len(email) > _EMAIL_MAX
        or not 1 <= len(local) <= _LOCAL_MAX
        or not _is_local(local)
        or len(labels) < 2  # noqa: PLR2004  a name and a top-level domain
        or not all(_LABEL.fullmatch(label) for label in labels)
    ):
        raise InvalidInput(
            "this is no email address", [FieldError(message="not an email address", pointer="/email")]
        )
    return email


def spelling_of(text: str) -> str:
    """The same of what is an address, and something of everything else: to count by, whoever has it."""
    try:
        return normal_email(text)
    except InvalidInput:
        return text.strip().lower()


def check_password(password: str, *, pointer: str = "/password") -> None:
    """Accept a password for a new account, or in another's place.

    Args:
        pointer: where it stands in the request.

    Raises:
        InvalidInput: it is too short.
    """
    if len(password) < PASSWORD_MIN:
        raise _unfit(f"the password needs at least {PASSWORD_MIN} characters", pointer)


def _is_local(local: str) -> bool:
    return bool(_LOCAL.fullmatch(local)) and ".." not in local and local[0] != "." and local[-1] != "."


def _unfit(message: str, pointer: str) -> InvalidInput:
    return InvalidInput(message, [FieldError(message=message, pointer=pointer)])
