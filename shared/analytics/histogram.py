"""Durations counted in fixed buckets, so that any two histograms can be added.

Four buckets to each doubling from 50 µs to 62 s. What falls into a bucket is told as its geometric
middle, which is at most 10 % away from what was measured; below 50 µs it is at most 25 µs away.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest
from typing import Final

import msgspec

PER_DOUBLING: Final = 4
_FIRST_US = 50
_DOUBLINGS = 20.25  # to 62 s: a deadline is at most a minute

# The highest duration that each bucket holds, in µs. One more bucket holds what is longer still.
BOUNDS_US: Final = tuple(
    round(_FIRST_US * 2 ** (step / PER_DOUBLING)) for step in range(int(_DOUBLINGS * PER_DOUBLING) + 1)
)
BUCKETS: Final = len(BOUNDS_US) + 1

Counts = Sequence[int]  # how often each bucket was hit; those past its end were not


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of many durations, in milliseconds; zeros if there were none.

    Attributes:
        p50: half took no longer; within 10 %.
        p90: nine of ten took no longer; within 10 %.
        p99: ninety-nine of a hundred took no longer; within 10 %.
        mean: exact.
    """

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    mean: float = 0.0


def added(one: Counts, other: Counts) -> list[int]:
    """The sum of two histograms, bucket by bucket."""
    return [a + b for a, b in zip_longest(one, other, fillvalue=0)]


def trimmed(counts: Counts) -> list[int]:
    """The same histogram without the zeros at its end."""
    length = len(counts)
    while length and not counts[length - 1]:
        length -= 1
    return list(counts[:length])


def durations(counts: Counts, sum_us: int) -> Durations:
    """Percentiles and mean of a histogram.

    Args:
        sum_us: of all that it counts.
    """
    number = sum(counts)
    if not number:
        return Durations()
    p50, p90, p99 = (quantile_ms(counts, share) for share in (0.5, 0.9, 0.99))
    return Durations(p50=p50, p90=p90, p99=p99, mean=round(sum_us / number / 1000, 3))


def quantile_ms(counts: Counts, share: float) -> float:
    """The duration that `share` of those counted did not exceed, in milliseconds; 0 if none was counted.

    Source: the nearest-rank definition.
    """
    rank = math.ceil(share * sum(counts))
    if not rank:
        return 0.0
    bucket = next(index for index, reached in enumerate(accumulate(counts)) if reached >= rank)
    return round(_middle_us(bucket) / 1000, 3)


def per_doubling(counts: Counts) -> Iterable[int]:
    """The same histogram in a quarter of the buckets, for readers who pay for each."""
    padded = [*counts, *[0] * (BUCKETS - len(counts))]
    yield padded[0]
    for start in range(1, BUCKETS, PER_DOUBLING):
        yield sum(padded[start : start + PER_DOUBLING])


def _middle_us(bucket: int) -> float:
    if bucket == 0:
        return _FIRST_US / 2
    if bucket == len(BOUNDS_US):
        return BOUNDS_US[-1]
    return math.sqrt(BOUNDS_US[bucket - 1] * BOUNDS_US[bucket])
