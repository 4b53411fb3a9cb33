"""Lists in pages: `{items, next_cursor}`."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from shared.errors import MalformedRequest

T = TypeVar("T")
R = TypeVar("R")

PageLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=100, description="How many items at most.")]
PageCursor = Annotated[
    str | None,
    QueryParameter(name="cursor", description="`next_cursor` of the page before; none for the first."),
]

DEFAULT_LIMIT = 20

_MOST_NUMBER = 2**31 - 1  # what a column of numbers holds


class InvalidCursor(MalformedRequest):
    """Not a cursor that a list gave out."""

    code = "invalid_cursor"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and the cursor of the page after them; null on the last."""

    items: list[T]
    next_cursor: str | None


def to_page(
    found: Sequence[R], limit: int, *, item: Callable[[R], T], cursor: Callable[[R], UUID | int]
) -> Page[T]:
    """The first `limit` of what was found.

    Args:
        found: up to one more than `limit`: the one more says that there is another page.
        item: what the caller sees of each.
        cursor: what the next page begins after.
    """
    shown = found[:limit]
    more = len(found) > limit
    return Page([item(each) for each in shown], to_cursor(cursor(shown[-1])) if more else None)


def to_cursor(position: UUID | int) -> str:
    """A position as an opaque text."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def from_cursor(text: str | None, kind: type[T]) -> T | None:
    """The position that a cursor stands for.

    Raises:
        InvalidCursor: it is none of ours.
    """
    if text is None:
        return None
    try:
        spelled = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        position = msgspec.convert(spelled.decode(), kind, strict=False)
    except (binascii.Error, ValueError):
        raise _no_cursor() from None
    if isinstance(position, int) and not 0 <= position <= _MOST_NUMBER:
        raise _no_cursor()
    return position


def _no_cursor() -> InvalidCursor:
    return InvalidCursor("the cursor is not one that a list gave out")
