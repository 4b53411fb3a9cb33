"""Lists in pages: `{items, next_cursor}`."""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from shared.errors import MalformedRequest

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P", UUID, int)

# Base64 without padding, so that every text of the form is a position: of 16 bytes, and of 31 bits.
_FORMS: Final = {UUID: r"^[A-Za-z0-9_-]{21}[AQgw]$", int: r"^[A-Za-f][A-Za-z0-9_-]{4}[AQgw]$"}
_positions: Final[dict[type, Callable[[bytes], Any]]] = {
    UUID: lambda spelled: UUID(bytes=spelled),
    int: int.from_bytes,
}

PageLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=100, description="How many items at most.")]
PageCursor = Annotated[
    str | None,
    QueryParameter(
        name="cursor",
        description="`next_cursor` of the page before; none for the first.",
        schema_extra={"pattern": _FORMS[UUID]},
    ),
]
# Of a list in the order of numbers.
NumberCursor = Annotated[
    str | None,
    QueryParameter(
        name="cursor",
        description="`next_cursor` of the page before; none for the first.",
        schema_extra={"pattern": _FORMS[int]},
    ),
]

DEFAULT_LIMIT = 20

_NUMBER_BYTES: Final = 4  # of which the first bit is 0: what a column of numbers holds


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
    spelled = position.bytes if isinstance(position, UUID) else position.to_bytes(_NUMBER_BYTES)
    return base64.urlsafe_b64encode(spelled).decode().rstrip("=")


def from_cursor(text: str | None, kind: type[P]) -> P | None:
    """The position that a cursor stands for.

    Raises:
        InvalidCursor: it is none of ours.
    """
    if text is None:
        return None
    if re.fullmatch(_FORMS[kind], text) is None:
        raise InvalidCursor("the cursor is not one that a list gave out")
    spelled = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    position: P = _positions[kind](spelled)
    return position
