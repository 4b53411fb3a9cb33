"""Requests a second and latency of the product's predict path, beside those of the floor, in one run.

Both answer the same single rows with the same model. The product has what it has in production (an API key,
rate limits, statistics) but for its cache, which is off. They are loaded in turns, so that whatever else the
machine does meets both; the figures are medians over the rounds, and so are the ratios.
"""

import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from bench.processes import free_port, listens, running, until
from bench.running_platform import running_platform
from bench.sample_models import MODELS, SampleModel, distinct_rows, train, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import answered
from bench.wrk import Load, Target, check_wrk, load
from deploy.local.binaries import redis_program

PAUSE_S = 0.5  # between two loads, so that the one before has ended
ROWS = 3000

Loads = Mapping[str, Sequence[Load]]  # by target, one of each round


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="iris", help="(%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--seconds", type=int, default=5, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each at each step (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-")))
        model = train(arguments.model, folder)
        bodies = write_bodies(folder / "bodies", model, distinct_rows(model, ROWS))
        targets = {
            "floor": stack.enter_context(_running_floor(folder, model, bodies)),
            "product": stack.enter_context(_running_product(model, bodies)),
        }
        for target in targets.values():
            _check_answers(target, model)
        measured = alternate(targets, arguments)
    print_comparison(measured)
    print_wanted(_wanted(measured))


def alternate(targets: Mapping[str, Target], arguments: Namespace) -> dict[int, dict[str, list[Load]]]:
    """Load the targets in turns. By connections and target, a load for each round."""
    for target in targets.values():
        load(target, connections=32, seconds=2)  # warms all up alike
    loads = {connections: {name: [] for name in targets} for connections in arguments.connections}
    for number in range(arguments.rounds):
        in_turn = list(targets.items())[:: -1 if number % 2 else 1]  # who follows whom matters to neither
        for connections, of_step in loads.items():
            for name, target in in_turn:
                of_step[name].append(load(target, connections=connections, seconds=arguments.seconds))
                time.sleep(PAUSE_S)
    return loads


def print_comparison(measured: Mapping[int, Loads]) -> None:
    """Print what `alternate` found of two targets, and the second's ratio to the first."""
    first, second = next(iter(measured.values()))
    titles = ["connections", f"{first}, req/s", f"{second}, req/s", "ratio"]
    titles += [f"{first}: median, p99 ms", f"{second}: median, p99 ms", "errors"]
    print_table(titles, [_row(connections, loads) for connections, loads in measured.items()])


def ratio(loads: Loads, figure: Callable[[Load], float]) -> float:
    """The second target's figure by the first's, the median over the rounds."""
    first, second = loads.values()
    pairs = zip(first, second, strict=True)
    return statistics.median(figure(two) / figure(one) if figure(one) else float("nan") for one, two in pairs)


@contextmanager
def _running_floor(folder: Path, model: SampleModel, bodies: Path) -> Iterator[Target]:
    redis_socket, port = folder / "redis.sock", free_port()
    redis = [str(redis_program()), "--port", "0", "--unixsocket", str(redis_socket)]
    floor = [sys.executable, "-m", "bench.floor", str(redis_socket), str(port), str(model.path)]
    with running([*redis, "--save", "", "--appendonly", "no"]):
        until(redis_socket.exists, "the floor's Redis starts")
        with running(floor):
            until(lambda: listens(port), "the floor starts")
            yield Target(url=f"http://127.0.0.1:{port}/", bodies=bodies)


@contextmanager
def _running_product(model: SampleModel, bodies: Path) -> Iterator[Target]:
    with running_platform() as platform:
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="bench")
        tenant.change_settings("bench", cache=False)
        yield tenant.target(uploaded["id"], bodies)


def _check_answers(target: Target, model: SampleModel) -> None:
    """Every row of the data set must get what scikit-learn says, called directly."""
    with httpx.Client(headers=dict(target.headers)) as client:
        for row, label in zip(model.rows, model.labels, strict=True):
            prediction = answered(client.post(target.url, json=model.body(row)))["prediction"]
            if prediction != label:
                raise SystemExit(f"{target.url} answers {prediction} for {row}: it should be {label}")


def _row(connections: int, loads: Loads) -> list[object]:
    rates = [median(each, lambda one: one.requests_per_s) for each in loads.values()]
    errors = sum(one.errors for each in loads.values() for one in each)
    latencies = [_latency(each) for each in loads.values()]
    return [connections, *rates, ratio(loads, lambda one: one.requests_per_s), *latencies, errors]


def _wanted(measured: Mapping[int, Loads]) -> Iterator[Wanted]:
    for connections, loads in measured.items():
        if connections > 1:
            rates = ratio(loads, lambda one: one.requests_per_s)
            yield Wanted(what=f"requests/s at {connections}, of the floor's", measured=rates, at_least=0.6)
            tails = ratio(loads, lambda one: one.p99_ms)
            yield Wanted(what=f"p99 at {connections}, of the floor's", measured=tails, at_most=2.0)
        else:
            middles = ratio(loads, lambda one: one.median_ms)
            yield Wanted(what="median latency at 1, of the floor's", measured=middles, at_most=1.5)


def _latency(loads: Sequence[Load]) -> str:
    return f"{median(loads, lambda one: one.median_ms):.2f}, {median(loads, lambda one: one.p99_ms):.2f}"


def median(loads: Sequence[Load], figure: Callable[[Load], float]) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(figure(one) for one in loads)
