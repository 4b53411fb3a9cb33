"""What requests say about cached replies, and what answers say of them."""

import pytest

from api.cache_headers import CacheControl, forwarded_header, hit_headers, parse_cache_control


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (None, CacheControl()),
        (b"", CacheControl()),
        (b"no-cache", CacheControl(no_cache=True)),
        (b"no-store", CacheControl(no_store=True)),
        (b"only-if-cached", CacheControl(only_if_cached=True)),
        (b"max-age=5", CacheControl(max_age_s=5)),
        (b"min-fresh=20", CacheControl(min_fresh_s=20)),
        (b"No-Cache, MAX-AGE=0", CacheControl(no_cache=True, max_age_s=0)),  # names know no case
        (b'max-age="5"', CacheControl(max_age_s=5)),  # recipients ought to accept both forms
        (b"no-cache,no-store,max-age=60", CacheControl(no_cache=True, no_store=True, max_age_s=60)),
        (b"private, max-stale=10, no-transform", CacheControl()),
        (b'community="UCI, no-cache"', CacheControl()),  # a quoted comma ends nothing
        (b"max-age=soon", CacheControl(max_age_s=0)),  # invalid freshness is stale
        (b"max-age", CacheControl(max_age_s=0)),
        (b"max-age=-1", CacheControl(max_age_s=0)),
        (b"max-age=60, max-age=5", CacheControl(max_age_s=5)),
        (b"max-age=99999999999999999999", CacheControl(max_age_s=2**31)),
        (b"\xff\xfe, no-cache", CacheControl(no_cache=True)),
        (b",,;;==", CacheControl()),
    ],
)
def test_a_request_says_what_it_takes(header, meant):
    assert parse_cache_control(header) == meant


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, True),
        (b"no-cache", False),
        (b"max-age=30", True),
        (b"max-age=29", False),
        (b"min-fresh=60", True),
        (b"min-fresh=61", False),
        (b"no-store", True),  # does not apply to what is stored already (RFC 9111, 5.2.1.5)
    ],
)
def test_a_reply_30_seconds_old_that_has_60_to_live_is_used_if_the_request_allows(header, accepted):
    assert parse_cache_control(header).accepts(age_s=30, ttl_s=60) is accepted


# The forms are those of RFC 9211, section 4, with our name in place of theirs.


def test_a_hit_says_how_long_it_stays_fresh_and_how_old_it_is():
    assert hit_headers(age_s=24, ttl_s=376) == [
        (b"cache-status", b"modelyard; hit; ttl=376"),
        (b"age", b"24"),
    ]


@pytest.mark.parametrize(
    ("header", "written"),
    [
        (forwarded_header("miss"), b"modelyard; fwd=miss"),
        (forwarded_header("miss", stored=True), b"modelyard; fwd=miss; stored"),
        (forwarded_header("miss", collapsed=True), b"modelyard; fwd=miss; collapsed"),
        (forwarded_header("request", stored=True), b"modelyard; fwd=request; stored"),
        (forwarded_header("bypass"), b"modelyard; fwd=bypass"),
    ],
)
def test_an_answer_that_was_computed_says_why(header, written):
    assert header == (b"cache-status", written)
