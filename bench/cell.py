"""What the cell costs: a call through a host beside the same estimator in process, forks, and memory."""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from shared.catalog.verdict import Signature
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate

TIMEOUT_S = 60.0
CALLS, ROUNDS = 200, 20
MIB = 1024 * 1024


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--hosts", type=int, default=50, help="that are started (%(default)s)")


def run(arguments: Namespace) -> None:
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    template = HostTemplate()
    template.start()
    print(f"tier: {template.confinement.tier if template.confinement else None}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(model, path)
        host = template.spawn()
        with path.open("rb") as file:
            signature = host.load(file.fileno(), probe=True, timeout_s=TIMEOUT_S).signature
        print("| | |\n|---|---|")
        print_calls(host, model, X[:1])
        print_hosts([started(template, path, signature) for _ in range(arguments.hosts)])
    template.close()


def print_calls(host: HostProcess, model: LogisticRegression, row: np.ndarray) -> None:
    """One row, in turns, so that whatever else the machine does meets both."""
    call = PredictCall(rows=1, matrix=[row.tobytes()])

    def through_host() -> None:
        host.submit(call)
        host.receive(timeout_s=TIMEOUT_S)

    pairs = [(took_us(lambda: model.predict(row)), took_us(through_host)) for _ in range(ROUNDS)]
    print(f"| 1 row in process, us | {median(inside for inside, _ in pairs):.0f} |")
    print(f"| 1 row through a host, us | {median(outside for _, outside in pairs):.0f} |")
    print(f"| difference, us | {median(outside - inside for inside, outside in pairs):.0f} |")


def took_us(action: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        started_at = time.perf_counter()
        action()
        times.append(time.perf_counter() - started_at)
    return median(times) * 1e6


def started(
    template: HostTemplate, path: Path, signature: Signature | None
) -> tuple[HostProcess, float, float]:
    """A host, and the milliseconds of its fork and of all until it answers."""
    began = time.perf_counter()
    host = template.spawn()
    forked = time.perf_counter()
    with path.open("rb") as file:
        host.load(file.fileno(), probe=False, signature=signature, timeout_s=TIMEOUT_S)
    return host, (forked - began) * 1000, (time.perf_counter() - began) * 1000


def print_hosts(hosts: list[tuple[HostProcess, float, float]]) -> None:
    print(f"| fork, ms | {median(fork for _, fork, _ in hosts):.1f} |")
    print(f"| fork, layers and load, ms | {median(whole for _, _, whole in hosts):.1f} |")
    own = median(host.memory_bytes() for host, _, _ in hosts)
    print(f"| memory of its own of each of {len(hosts)} hosts, MiB | {own / MIB:.1f} |")
