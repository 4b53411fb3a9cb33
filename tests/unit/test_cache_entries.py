"""How replies are stored, and which are not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cache_entry import ENTRY_MAX_BYTES, decode_entry, encode_entry
from api.prediction_cache import has_room
from shared.predictions.wire import Failure, Reply

REPLY = Reply(7, {"label": ["setosa", "größer"], "probabilities": [[0.5, 0.5], [0.0, 1.0]]}, None, 180)


def test_a_reply_comes_back_as_it_was():
    entry = decode_entry(encode_entry(REPLY, 1_000_000, ttl_ms=60_000))

    assert entry.reply(7) == REPLY


def test_a_reply_that_is_no_number_stays_none():
    entry = decode_entry(encode_entry(Reply(7, {"label": [math.nan, None]}), 0, ttl_ms=1))

    assert math.isnan(entry.outputs["label"][0])
    assert entry.outputs["label"][1] is None


@pytest.mark.parametrize(
    ("now_ms", "age_s", "ttl_s"),
    [(1_000_000, 0, 60), (1_024_999, 24, 35), (1_060_000, 60, 0), (1_099_000, 99, 0), (900_000, 0, 160)],
)
def test_age_and_rest_are_whole_seconds_and_never_negative(now_ms, age_s, ttl_s):
    entry = decode_entry(encode_entry(REPLY, 1_000_000, ttl_ms=60_000))

    assert (entry.age_s(now_ms), entry.ttl_s(now_ms)) == (age_s, ttl_s)


def test_failures_are_not_stored():
    assert encode_entry(Reply(7, None, Failure("model_crashed", "it died")), 0, ttl_ms=1) is None


def test_replies_of_very_many_rows_are_not_stored():
    assert encode_entry(Reply(7, {"label": ["x" * ENTRY_MAX_BYTES]}), 0, ttl_ms=1) is None


@given(st.none() | st.binary(max_size=20))
def test_what_is_no_entry_is_a_miss(stored):
    assert decode_entry(stored) is None


def test_an_entry_of_another_release_is_a_miss():
    stored = encode_entry(REPLY, 0, ttl_ms=1)

    assert decode_entry(stored[:1] + b"\x02" + stored[2:]) is None


@pytest.mark.parametrize(
    ("memory", "room"),
    [
        ({"used_memory": 74, "maxmemory": 100, "maxmemory_policy": "noeviction"}, True),
        ({"used_memory": 75, "maxmemory": 100, "maxmemory_policy": "noeviction"}, False),
        ({"used_memory": 99, "maxmemory": 100, "maxmemory_policy": "allkeys-lru"}, True),
        (
            {"used_memory": 75, "maxmemory": 0, "maxmemory_policy": "noeviction", "total_system_memory": 100},
            False,
        ),
        (
            {"used_memory": 74, "maxmemory": 0, "maxmemory_policy": "noeviction", "total_system_memory": 100},
            True,
        ),
        ({}, True),
    ],
)
def test_a_server_that_evicts_nothing_is_not_filled(memory, room):
    assert has_room(memory) is room
