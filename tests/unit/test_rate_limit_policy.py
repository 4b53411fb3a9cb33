"""Which limits a request counts against, and what its caller is told of them."""

from uuid import UUID

import msgspec
import pytest

from api.rate_limit import limit_headers, refusal
from shared.access.caller import Caller
from shared.limits.decision import Decision, Standing
from shared.limits.policy import Limit, RouteClass, limits_for
from shared.settings import Settings

SETTINGS = Settings(database_url="", redis_url="", storage_url="", secret_key="x" * 32)
USER = Caller(user_id=UUID(int=1), tenant_id=UUID(int=2))
KEY = Caller(user_id=UUID(int=1), tenant_id=UUID(int=2), key_id=UUID(int=3))
LIMIT = Limit(RouteClass.READ, "limit:read:somebody", 100, 600_000, 60)


def keys(route_class, *, caller=None, client_ip="198.51.100.7", account="", **changes):
    settings = msgspec.structs.replace(SETTINGS, **changes)
    limits = limits_for(settings, route_class, caller=caller, client_ip=client_ip, account=account)
    return [limit.key for limit in limits]


def test_a_limit_is_a_minutes_worth_at_once():
    settings = msgspec.structs.replace(SETTINGS, read_per_minute=100)

    (limit,) = limits_for(settings, "read", caller=USER, client_ip="")

    assert (limit.name, limit.burst, limit.interval_us, limit.window_s) == ("read", 100, 600_000, 60)


@pytest.mark.parametrize(
    ("platform", "own", "expected"),
    [(100, 7, [7]), (100, None, [100]), (5, 7, [5]), (0, 7, [7]), (0, None, [])],
)
def test_a_keys_own_limit_counts_where_it_is_the_lower_one(platform, own, expected):
    settings = msgspec.structs.replace(SETTINGS, read_per_minute=platform)
    caller = msgspec.structs.replace(KEY, rate_limit=own)

    limits = limits_for(settings, "read", caller=caller, client_ip="")

    assert [limit.burst for limit in limits] == expected


def test_no_more_than_allowed_where_a_minute_does_not_divide():
    settings = msgspec.structs.replace(SETTINGS, write_per_minute=7)

    (limit,) = limits_for(settings, "write", caller=USER, client_ip="")

    assert limit.interval_us * 7 >= 60_000_000


def test_a_key_a_user_and_an_address_are_counted_apart():
    assert keys("predict", caller=KEY) == [f"limit:predict:key:{UUID(int=3)}"]
    assert keys("predict", caller=USER) == [f"limit:predict:user:{UUID(int=1)}"]
    assert keys("write") == ["limit:write:ip:198.51.100.7"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),  # one customer has all of a /64
        ("::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_addresses_of_one_owner_count_together(one, other):
    assert keys("write", client_ip=one) == keys("write", client_ip=other)


def test_neighbouring_networks_are_counted_apart():
    assert keys("write", client_ip="2001:db8:1:2::1") != keys("write", client_ip="2001:db8:1:3::1")


def test_logging_in_counts_for_the_address_and_for_the_account_from_there():
    limits = keys("login", account="ada@example.com")

    assert len(limits) == 2
    assert limits == keys("login", account=" ADA@example.com")
    assert not any("ada" in limit for limit in limits)  # nobody reads addresses in Redis
    assert limits[0] == keys("login", account="bob@example.com")[0]
    assert limits[1] != keys("login", account="bob@example.com")[1]
    assert set(limits).isdisjoint(keys("login", account="ada@example.com", client_ip="203.0.113.9"))


def test_who_does_not_say_who_they_are_counts_for_the_address_alone():
    assert keys("login") == ["limit:login-address:ip:198.51.100.7"]


def test_zero_means_no_limit():
    assert keys("read", caller=USER, read_per_minute=0) == []
    assert keys("login", account="a", login_per_minute=0, login_address_per_minute=0) == []


def test_an_unknown_class_is_an_error():
    with pytest.raises(ValueError, match="'reed' is not a valid RouteClass"):
        limits_for(SETTINGS, "reed", caller=USER, client_ip="")


def test_headers_tell_the_policy_and_what_is_left():
    decision = Decision(allowed=True, standings=(Standing(LIMIT, 50, 29_400_001),))

    assert limit_headers(decision) == [
        (b"ratelimit-policy", b'"read";q=100;w=60'),
        (b"ratelimit", b'"read";r=50;t=30'),
    ]


def test_headers_tell_of_several_limits():
    other = Limit("login", "limit:login:somebody", 10, 6_000_000, 60)
    decision = Decision(allowed=True, standings=(Standing(LIMIT, 50, 1), Standing(other, 9, 6_000_000)))

    assert limit_headers(decision) == [
        (b"ratelimit-policy", b'"read";q=100;w=60, "login";q=10;w=60'),
        (b"ratelimit", b'"read";r=50;t=1, "login";r=9;t=6'),
    ]


def test_where_nothing_was_counted_there_is_nothing_to_tell():
    assert limit_headers(Decision(allowed=True)) == []


def test_a_refusal_says_when_to_come_back_twice_the_same():
    decision = Decision(allowed=False, standings=(Standing(LIMIT, 0, 59_900_000),), retry_us=500_000)

    error = refusal(decision)

    assert error.retry_after_s == 1
    assert error.headers["ratelimit"] == '"read";r=0;t=1'
    assert str(error) == "more than 100 requests in 60 s of the kind 'read': come back in 1 s"
