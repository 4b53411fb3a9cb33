"""Requests a second of the product's predict path, beside those of the floor, in one run.

Both answer the same single rows with the same model. They are loaded in turns, so that whatever else
the machine does meets both; the figures are medians over the rounds.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import joblib
import msgspec
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from bench.load import Load, check_wrk, load
from bench.running_platform import ROOT, answered, free_port, running_platform
from deploy.local.binaries import redis_program

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
PAUSE_S = 0.5  # between two loads, so that the one before has ended


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something to load."""

    url: str
    headers: Mapping[str, str] = {}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--seconds", type=int, default=5, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each at each step (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-")))
        bodies = _write_bodies(folder / "bodies")
        targets = {
            "floor": stack.enter_context(_running_floor(folder)),
            "product": stack.enter_context(_running_product(folder)),
        }
        for target in targets.values():
            _check_answers(target)
            load(target.url, bodies, connections=32, seconds=2, headers=target.headers)  # warm both up alike
        _print_table(_measured(targets, bodies, arguments))


def _write_bodies(path: Path) -> Path:
    """A line for each row, none twice, so that no cache answers for the model."""
    rows = load_iris().data
    bodies = (
        json.dumps({"input": dict(zip(COLUMNS, (row + turn / 1000).round(3).tolist(), strict=True))})
        for turn in range(20)
        for row in rows
    )
    path.write_text("\n".join(bodies) + "\n")
    return path


@contextmanager
def _running_floor(folder: Path) -> Iterator[Target]:
    redis_socket, port = folder / "redis.sock", free_port()
    redis = [str(redis_program()), "--port", "0", "--unixsocket", str(redis_socket)]
    floor = [sys.executable, "-m", "bench.floor", str(redis_socket), str(port)]
    with _process([*redis, "--save", "", "--appendonly", "no"]):
        _until(redis_socket.exists)
        with _process(floor):
            _until(lambda: _listens(port))
            yield Target(url=f"http://127.0.0.1:{port}/")


@contextmanager
def _running_product(folder: Path) -> Iterator[Target]:
    iris = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(iris.data.set_axis(COLUMNS, axis=1), iris.target)
    joblib.dump(model, folder / "model.joblib")
    with running_platform(log_level="warning") as platform:
        uploaded = platform.upload(folder / "model.joblib", name="iris")
        token = platform.client.headers["Authorization"]
        yield Target(url=f"{platform.url}/api/v1/predict/{uploaded['id']}", headers={"Authorization": token})


@contextmanager
def _process(command: Sequence[str]) -> Iterator[None]:
    """A process and its children, which end with the block."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(happened: Callable[[], bool], *, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            raise SystemExit("the floor does not start")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check_answers(target: Target) -> None:
    """Every row of the data set must get what scikit-learn says, called directly."""
    rows, classes = load_iris(return_X_y=True)
    expected = LogisticRegression(max_iter=1000).fit(rows, classes).predict(rows)
    with httpx.Client(headers=dict(target.headers)) as client:
        for row, label in zip(rows.tolist(), expected.tolist(), strict=True):
            body = {"input": dict(zip(COLUMNS, row, strict=True))}
            prediction = answered(client.post(target.url, json=body))["prediction"]
            if prediction != label:
                raise SystemExit(f"{target.url} answers {prediction} for {row}: it should be {label}")


def _measured(
    targets: Mapping[str, Target], bodies: Path, arguments: Namespace
) -> dict[int, dict[str, list[Load]]]:
    """By connections and target, a load for each round."""
    loads = {connections: {name: [] for name in targets} for connections in arguments.connections}
    for _ in range(arguments.rounds):
        for connections, of_step in loads.items():
            for name, target in targets.items():
                of_step[name].append(
                    load(
                        target.url,
                        bodies,
                        connections=connections,
                        seconds=arguments.seconds,
                        headers=target.headers,
                    )
                )
                time.sleep(PAUSE_S)
    return loads


def _print_table(measured: Mapping[int, Mapping[str, Sequence[Load]]]) -> None:
    print("| connections | floor, req/s | product, req/s | ratio | floor, median, p99 ms | product |")
    print("|---:|---:|---:|---:|---:|---:|")
    for connections, loads in measured.items():
        floor, product = (_median(loads[name], lambda one: one.requests_per_s) for name in loads)
        latencies = " | ".join(_latency(loads[name]) for name in loads)
        print(f"| {connections} | {floor:,.0f} | {product:,.0f} | {product / floor:.2f} | {latencies} |")
    errors = sum(one.errors for loads in measured.values() for each in loads.values() for one in each)
    print(f"\nErrors: {errors}.")


def _latency(loads: Sequence[Load]) -> str:
    median, p99 = _median(loads, lambda one: one.median_ms), _median(loads, lambda one: one.p99_ms)
    return f"{median:.2f}, {p99:.2f}"


def _median(loads: Sequence[Load], figure: Callable[[Load], float]) -> float:
    return statistics.median(figure(one) for one in loads)
