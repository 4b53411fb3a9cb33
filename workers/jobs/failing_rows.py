"""Finding every row of some that does not fit by itself."""

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def failing_rows(start: int, stop: int, *, fault: Callable[[int, int], T | None]) -> Iterator[tuple[int, T]]:
    """Each row from `start` up to `stop`, excluded, that fails alone, with what is wrong with it.

    Rows are looked at together, and in halves where they fail: few bad rows among many are found quickly.

    Args:
        fault: what is wrong with the rows from one number up to another; None if nothing is.
    """
    if start >= stop:
        return
    found = fault(start, stop)
    if found is None:
        return
    if stop - start == 1:
        yield start, found
        return
    middle = (start + stop) // 2
    yield from failing_rows(start, middle, fault=fault)
    yield from failing_rows(middle, stop, fault=fault)
