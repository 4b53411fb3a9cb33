"""Histograms of durations against numpy, which sees every single one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.analytics.histogram import (
    BOUNDS_US,
    BUCKETS,
    PER_DOUBLING,
    added,
    durations,
    per_doubling,
    quantile_ms,
    trimmed,
)

WITHIN_BOUNDS = st.integers(min_value=51, max_value=60_000_000)


def counted(values_us) -> list[int]:
    buckets = np.searchsorted(BOUNDS_US, values_us, side="left")
    return np.bincount(buckets, minlength=BUCKETS).tolist()


@given(st.lists(WITHIN_BOUNDS, min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_within_a_tenth_of_the_true_one(values_us, share):
    true_us = np.quantile(values_us, share, method="inverted_cdf")

    told_ms = quantile_ms(counted(values_us), share)

    assert told_ms * 1000 == pytest.approx(true_us, rel=0.1)


@given(st.lists(WITHIN_BOUNDS, max_size=50), st.lists(WITHIN_BOUNDS, max_size=50))
def test_adding_two_is_counting_both(one, other):
    assert added(trimmed(counted(one)), counted(other)) == counted(one + other)


def test_nothing_measured_is_told_as_zeros():
    told = durations([0] * BUCKETS, 0)

    assert (told.p50, told.p90, told.p99, told.mean) == (0, 0, 0, 0)


def test_the_mean_is_exact():
    assert durations(counted([1000, 2000, 6000]), 9000).mean == 3.0


def test_beyond_the_last_bound_the_bound_is_told():
    assert quantile_ms(counted([500_000_000]), 0.5) == pytest.approx(62_348.7, abs=0.1)


def test_zeros_at_the_end_need_no_room():
    assert trimmed([0, 3, 0, 0]) == [0, 3]
    assert trimmed([0, 0]) == []


@given(st.lists(WITHIN_BOUNDS, max_size=50))
def test_a_quarter_of_the_buckets_counts_the_same_values(values_us):
    coarse = np.histogram(values_us, bins=[-1, *BOUNDS_US[::PER_DOUBLING], 10**12])[0]
    on_a_bound = set(values_us) & set(BOUNDS_US)  # numpy's bins hold their lower bound, ours the upper

    if not on_a_bound:
        assert list(per_doubling(trimmed(counted(values_us)))) == coarse.tolist()
