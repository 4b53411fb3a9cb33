"""Many models on one worker that has room for a tenth of them: all must answer, and the hot ones stay fast.

Some models are asked again and again; all the others are asked in turns, at a rate at which most of
them have to be loaded each time. Latencies are those of a client that waits for each answer.
"""

import statistics
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import joblib
from sklearn.dummy import DummyClassifier

from bench.running_platform import running_platform
from bench.tenant import Tenant, answered

UPLOADS_AT_ONCE = 4


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--places", type=int, default=20, help="models that the worker holds (%(default)s)")
    parser.add_argument("--hot", type=int, default=5, help="of the models (%(default)s)")
    parser.add_argument("--rate", type=float, default=10, help="cold requests a second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=40, help="of each of the two parts (%(default)s)")


def run(arguments: Namespace) -> None:
    with running_platform(max_loaded_versions=str(arguments.places), upload_per_minute="0") as platform:
        tenant = platform.tenant()
        started = time.monotonic()
        names = _upload_all(tenant, arguments.models)
        print(f"{len(names)} models uploaded and judged in {time.monotonic() - started:.1f} s.\n")
        hot, cold = names[: arguments.hot], names[arguments.hot :]
        alone = _measured(tenant, hot, [], arguments)
        beside = _measured(tenant, hot, cold, arguments)
        _print_table({"hot, alone": alone[0], "hot, beside cold": beside[0], "cold": beside[1]})


class Asked:
    """What came of the requests for a set of models."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.wrong: list[str] = []

    def ask(self, client: httpx.Client, name: str) -> None:
        """One request, which must get the model's own answer."""
        started = time.monotonic()
        answer = client.post(f"/predict/{name}", json={"input": {"x0": 1.0}})
        self.latencies_ms.append((time.monotonic() - started) * 1000)
        if not answer.is_success or answer.json()["prediction"] != int(name.removeprefix("model")):
            self.wrong.append(answer.text)


def _upload_all(tenant: Tenant, count: int) -> list[str]:
    """Models of which each answers its own number."""
    names = [f"model{number}" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:

        def upload(number: int) -> None:
            path = Path(folder) / f"{number}.joblib"
            joblib.dump(DummyClassifier(strategy="constant", constant=number).fit([[0.0]], [number]), path)
            tenant.upload(path, name=names[number])

        list(pool.map(upload, range(count)))
    return names


def _measured(tenant: Tenant, hot: list[str], cold: list[str], arguments: Namespace) -> tuple[Asked, Asked]:
    ends = time.monotonic() + arguments.seconds
    with _in_background(lambda asked: _ask_again_and_again(tenant, hot, asked, until=ends)) as hot_asked:
        cold_asked = _ask_in_turns(tenant, cold, rate=arguments.rate, until=ends)
    return hot_asked, cold_asked


@contextmanager
def _in_background(work: Callable[[Asked], None]) -> Iterator[Asked]:
    asked = Asked()
    thread = threading.Thread(target=work, args=(asked,))
    thread.start()
    yield asked
    thread.join()


def _ask_again_and_again(tenant: Tenant, names: list[str], asked: Asked, *, until: float) -> None:
    """About 100 requests a second, one after the other."""
    with _client(tenant) as client:
        while time.monotonic() < until:
            for name in names:
                asked.ask(client, name)
                time.sleep(0.01)


def _ask_in_turns(tenant: Tenant, names: list[str], *, rate: float, until: float) -> Asked:
    """Requests at a fixed rate, whether or not the ones before were answered."""
    asked, turn = Asked(), 0
    with _client(tenant) as client, ThreadPoolExecutor(64) as pool:
        while names and time.monotonic() < until:
            pool.submit(asked.ask, client, names[turn % len(names)])
            turn += 1
            time.sleep(1 / rate)
    return asked


@contextmanager
def _client(tenant: Tenant) -> Iterator[httpx.Client]:
    headers = tenant.key | {"Cache-Control": "no-cache"}
    limits = httpx.Limits(max_connections=64)
    with httpx.Client(base_url=tenant.client.base_url, headers=headers, timeout=60, limits=limits) as client:
        answered(client.get("/models?limit=1"))
        yield client


def _print_table(measured: dict[str, Asked]) -> None:
    print("| models | requests | failed | median, ms | p95 | p99 | longest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, asked in measured.items():
        if asked.latencies_ms:
            cuts = statistics.quantiles(asked.latencies_ms, n=100)
            figures = (statistics.median(asked.latencies_ms), cuts[94], cuts[98], max(asked.latencies_ms))
            shown = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {name} | {len(asked.latencies_ms)} | {len(asked.wrong)} | {shown} |")
    for text in [text for asked in measured.values() for text in asked.wrong][:5]:
        print(f"\nFailed: {text}")
