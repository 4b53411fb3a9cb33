"""Finding the one row that spoils a batch."""

from collections.abc import Callable


def first_failing(rows: int, fails: Callable[[int], bool]) -> int:
    """The number, from 0, of the first row that cannot be among those that work.

    Args:
        rows: how many there are; all of them together fail.
        fails: whether the first n of them fail together. More rows never mend what fewer spoil.
    """
    works, spoilt = 0, rows
    while spoilt - works > 1:
        middle = (works + spoilt) // 2
        if fails(middle):
            spoilt = middle
        else:
            works = middle
    return works
