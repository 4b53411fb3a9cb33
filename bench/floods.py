"""Floods of requests that nobody honest sends, each in a process of its own.

They come from many addresses: by X-Forwarded-For, from a proxy that is trusted.
"""

import itertools
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import uvloop

from bench.http_connection import post_request
from bench.open_load import OpenLoad, percentile_ms, statuses

ACCOUNTS = 20_000


class Flooded(msgspec.Struct, frozen=True):
    """What became of a flood.

    Attributes:
        rate: requests a second that left.
        lag_p99_ms: how late they left, by the flood's own fault.
    """

    rate: float
    statuses: Mapping[int, int]
    p99_ms: float
    lag_p99_ms: float


def wrong_passwords(url: str, _key: str) -> Iterator[bytes]:
    """Of many accounts, from many addresses."""
    for number in itertools.count():
        account = {"email": f"victim{number % ACCOUNTS}@example.com", "password": secrets.token_hex(8)}
        yield post_request(f"{url}/api/v1/auth/login", json.dumps(account), _from_anywhere())


def unknown_keys(url: str, _key: str) -> Iterator[bytes]:
    """API keys that look right, each another."""
    while True:
        yield _get(f"{url}/api/v1/models", f"my_{uuid4().hex}_{secrets.token_urlsafe(32)}")


def unknown_predict_keys(url: str, _key: str) -> Iterator[bytes]:
    """The same, where predictions are asked for."""
    while True:
        headers = {"X-API-Key": f"my_{uuid4().hex}_{secrets.token_urlsafe(32)}"} | _from_anywhere()
        yield post_request(f"{url}/api/v1/predict/iris", '{"input": [1, 2, 3, 4]}', headers)


def forged_tokens(url: str, _key: str) -> Iterator[bytes]:
    """Access tokens of the right form, with a signature of somebody's own."""
    head, claims = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ"
    while True:
        yield _get(f"{url}/api/v1/models", f"{head}.{claims}.{secrets.token_urlsafe(32)}")


def missing_models(url: str, key: str) -> Iterator[bytes]:
    """Predictions of models that are not there, with a key that is good."""
    while True:
        headers = {"X-API-Key": key} | _from_anywhere()
        body = '{"input": [1, 2, 3, 4]}'
        yield post_request(f"{url}/api/v1/predict/none-{secrets.token_hex(4)}", body, headers)


def missing_pages(url: str, _key: str) -> Iterator[bytes]:
    """Addresses that are not there, without any credential."""
    while True:
        yield _get(f"{url}/{secrets.token_hex(8)}", "")


Requests = Callable[[str, str], Iterator[bytes]]


@contextmanager
def flood(
    requests: Requests, *, url: str, key: str, rate: float, seconds: float
) -> Iterator["Future[Flooded]"]:
    """Requests that leave at a rate while the block runs; the result is there once it has ended."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        yield process.submit(_run, requests, url, key, rate=rate, seconds=seconds)


def _run(requests: Requests, url: str, key: str, *, rate: float, seconds: float) -> Flooded:
    return uvloop.run(_flood(requests, url, key, rate=rate, seconds=seconds))


async def _flood(requests: Requests, url: str, key: str, *, rate: float, seconds: float) -> Flooded:
    load = OpenLoad(url, requests(url, key))
    outcomes = await load.run(rate=rate, seconds=seconds)
    load.close()
    answered = [one for one in outcomes if one.status > 0]
    return Flooded(
        rate=len(outcomes) / max(seconds, *load.lags_s),
        statuses=Counter(statuses(outcomes)),
        p99_ms=percentile_ms(answered, 0.99),
        lag_p99_ms=sorted(load.lags_s)[int(0.99 * len(load.lags_s))] * 1000,
    )


def _from_anywhere() -> dict[str, str]:
    return {"X-Forwarded-For": ".".join(str(random.randrange(1, 250)) for _ in range(4))}


def _get(url: str, token: str) -> bytes:
    at = urlsplit(url)
    lines = [f"GET {at.path} HTTP/1.1", f"Host: {at.netloc}"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name}: {value}" for name, value in _from_anywhere().items()]
    return "\r\n".join([*lines, "", ""]).encode()
