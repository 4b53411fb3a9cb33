"""Every error that the platform raises on purpose.

The first branch answers "who can mend it?", which is also "retry or not?"; the second what kind of
answer it is. Status codes live in `api/problems.py` and nowhere else.

    PlatformError
    ├── CallerError            the request itself must change; never retried
    │   ├── MalformedRequest       it cannot be read
    │   ├── InvalidInput           it can be read, and does not fit this model
    │   ├── Unauthenticated        nobody we know
    │   ├── NotAllowed             somebody we know, who may not
    │   ├── NotAcceptable          there, and not in the form that is asked for
    │   ├── NotFound               not there, or another tenant's
    │   ├── Gone                   was there
    │   ├── Conflict               against the state of the thing
    │   ├── TooLarge               over a limit, which it names
    │   └── UnsupportedFormat      a content type or file format we do not read
    ├── TransientError         the same request may succeed later; retried with back-off
    │   ├── RateLimited            more requests than this caller may make
    │   ├── Unavailable            saturated, loading or draining
    │   └── DeadlineExceeded       no answer in the time given
    └── OperatorError          whoever runs the platform must act
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing wrong with an input, and where.

    Attributes:
        message: what is wrong and what would be right.
        pointer: JSON pointer (RFC 6901) into the request body.
        column: name of the model's input column.
        row: number of the row, from 0.
    """

    message: str
    pointer: str | None = None
    column: str | None = None
    row: int | None = None


class PlatformError(Exception):
    """Base of every error this project raises on purpose."""

    code: ClassVar[str] = "platform_error"  # part of the API: clients match on it, never on the text


class CallerError(PlatformError):
    """The request itself must change. Never retried."""

    code = "caller_error"


class MalformedRequest(CallerError):
    """The request cannot be read."""

    code = "malformed_request"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__(detail)


class InvalidInput(CallerError):
    """The request can be read, and does not fit."""

    code = "invalid_input"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__(detail)


class Unauthenticated(CallerError):
    """No credentials, or none that we know.

    Attributes:
        headers: that take back what was no credential.
    """

    code = "unauthenticated"
    headers: Mapping[str, str] = MappingProxyType({})


class NotAllowed(CallerError):
    """The caller is known, and may not do this."""

    code = "not_allowed"


class NotFound(CallerError):
    """Not there, or another tenant's: the answer is the same."""

    code = "not_found"


class NotAcceptable(CallerError):
    """There, and not in the form that is asked for."""

    code = "not_acceptable"


class Gone(CallerError):
    """It was there and is there no longer."""

    code = "gone"


class Conflict(CallerError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class TooLarge(CallerError):
    """Over a limit. The text says which, and how much is allowed."""

    code = "too_large"


class UnsupportedFormat(CallerError):
    """A content type or a file format that is not read here."""

    code = "unsupported_format"


class TransientError(PlatformError):
    """The same request may succeed later. Retried with back-off."""

    code = "transient_error"


class RateLimited(TransientError):
    """More requests than the caller may make; `retry_after_s` says when the next one is let through.

    Attributes:
        headers: that tell the caller more about its limits.
    """

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_s: int, headers: Mapping[str, str] | None = None) -> None:
        self.retry_after_s = retry_after_s
        self.headers = headers or {}
        super().__init__(detail)


class Unavailable(TransientError):
    """Saturated, loading or draining; `retry_after_s` says when to come back."""

    code = "unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail)


class DeadlineExceeded(TransientError):
    """No answer within the time that the caller gave."""

    code = "deadline_exceeded"


class OperatorError(PlatformError):
    """Whoever runs the platform must act: a setting, a disk, a server."""

    code = "operator_error"
