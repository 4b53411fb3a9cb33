"""Which limits a request counts against. No I/O.

How many requests each allows is in the settings, a minute's worth; all of them may come at once.
"""

import hashlib
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

import msgspec

from shared.access.caller import Caller
from shared.access.client_network import client_network
from shared.settings import Settings

_WINDOW_S = 60
_WINDOW_US = _WINDOW_S * 1_000_000
_DAY_S = 24 * 3600


class RouteClass(StrEnum):
    """What a request does, as far as limits tell apart."""

    PREDICT = "predict"
    READ = "read"
    WRITE = "write"
    UPLOAD = "upload"
    LOGIN = "login"


class Limit(msgspec.Struct, frozen=True):
    """So many at once, and one more each interval.

    Attributes:
        name: what clients know it by.
        key: in Redis; see shared/limits/gcra.py.
        burst: how many at once; as many in `window_s` seconds.
        interval_us: until one more fits; 0: none does before midnight in UTC.
    """

    name: str
    key: str
    burst: int
    interval_us: int
    window_s: int

    @property
    def is_of_day(self) -> bool:
        """Whether it is a quota of a day, which is full again at once."""
        return not self.interval_us


def limits_for(
    settings: Settings,
    route_class: str,
    *,
    caller: Caller | None,
    client_ip: str,
    account: str = "",
    per_day: int = 0,
) -> tuple[Limit, ...]:
    """The limits that a request must pass, all of them; none where the settings say so.

    Args:
        route_class: one of `RouteClass`.
        caller: counted by their key, or by their user where they came without one. A limit of the key's
            own counts for each class by itself, and never allows more than the platform's.
        client_ip: counted where there is no caller.
        account: who wants to log in, as they spell it, if they say so; counted for each address by
            itself, so that nobody locks others out.
        per_day: requests that the caller's tenant may make until midnight in UTC; 0: no quota.
    """
    if route_class == RouteClass.LOGIN:
        return _login_limits(settings, client_network(client_ip), account)
    who = _caller_id(caller) if caller else f"ip:{client_network(client_ip)}"
    own = caller.rate_limit if caller else None
    minute = _per_minute(route_class, who, _lower(_amount(settings, route_class), own))
    # The day is last: a request that is over another limit must not be counted against it.
    return _some(minute, _per_day(caller.tenant_id, per_day) if caller and per_day else None)


def _lower(platform: int, own: int | None) -> int:
    """The smaller of two amounts, of which 0 and None are no limit."""
    return min(platform or own, own) if own else platform


def _login_limits(settings: Settings, network: str, account: str) -> tuple[Limit, ...]:
    whole = _per_minute("login-address", f"ip:{network}", settings.login_address_per_minute)
    if not account:
        return _some(whole)
    # Hashed: a key in Redis is seen by many, and may not be of any length.
    who = hashlib.sha256(account.strip().lower().encode()).hexdigest()[:32]
    return _some(whole, _per_minute("login", f"ip:{network}:{who}", settings.login_per_minute))


def _amount(settings: Settings, route_class: str) -> int:
    match RouteClass(route_class):
        case RouteClass.PREDICT:
            return settings.predict_per_minute
        case RouteClass.READ:
            return settings.read_per_minute
        case RouteClass.WRITE:
            return settings.write_per_minute
        case RouteClass.UPLOAD:
            return settings.upload_per_minute
        case RouteClass.LOGIN:
            return settings.login_address_per_minute


@lru_cache(10_000)  # spelling out a UUID costs more than all else here
def _caller_id(caller: Caller) -> str:
    return f"key:{caller.key_id}" if caller.key_id else f"user:{caller.user_id}"


@lru_cache(10_000)
def _per_minute(name: str, who: str, amount: int) -> Limit | None:
    if not amount:
        return None
    interval_us = -(-_WINDOW_US // amount)  # rounded up: never more than was allowed
    return Limit(
        name=name, key=f"limit:{name}:{who}", burst=amount, interval_us=interval_us, window_s=_WINDOW_S
    )


def day_key(tenant_id: UUID) -> str:
    """Where the tenant's predictions of today are counted."""
    return f"limit:predict-day:tenant:{tenant_id}"


def _per_day(tenant_id: UUID, amount: int) -> Limit:
    return Limit(name="predict-day", key=day_key(tenant_id), burst=amount, interval_us=0, window_s=_DAY_S)


def _some(*limits: Limit | None) -> tuple[Limit, ...]:
    return tuple(limit for limit in limits if limit is not None)
