"""Requests a second of other model servers and of the product, in turns, with the same models and rows.

The peers answer without authentication, limits or statistics; the product has an API key, limits and
statistics, and no cache. Each peer is loaded in turns with the product by the same wrk (one thread), both
warmed up; figures are medians over the rounds. A peer that does not start or answers wrong is told and left
out. The first run installs the peers, which takes minutes.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.peers_harness import MODELS, Harness, served_by_us
from bench.realtime import Loads, alternate, median, ratio
from bench.running_platform import running_platform
from bench.tables import Wanted, print_table, print_wanted
from bench.wrk import Target, check_wrk

# Of each peer the configurations that were fastest, by the kind of model.
BEST = {
    "iris_lr": (
        "fastapi:async2",
        "fastapi:async1",
        "mlserver:batch",
        "litserve:batch_fast",
        "bentoml:batch",
        "mlflow:workers2",
        "ray:batch_optimized",
    ),
    "rf100": (
        "litserve:batch_workers2",
        "mlserver:batch_workers2",
        "mlserver:batch",
        "bentoml:batch_workers2",
        "fastapi:async2",
        "mlflow:workers2",
        "ray:batch",
    ),
    "hgb": (
        "fastapi:async2",
        "mlserver:batch",
        "litserve:batch_fast",
        "bentoml:batch",
        "mlflow:workers2",
        "ray:batch",
    ),
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--peers", type=Path, required=True, help="folder of the peers' harness")
    parser.add_argument("--model", choices=MODELS, nargs="+", default=MODELS, help="(all)")
    parser.add_argument("--only", nargs="+", default=[], metavar="PEER[:CONFIG]", help="some of the peers")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--seconds", type=int, default=4, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="loads of each at each step (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    harness = Harness(arguments.peers)
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        folder, tenant = Path(name), platform.tenant()
        wanted: list[Wanted] = []
        for model in arguments.model:
            ours = served_by_us(tenant, model, harness.model(model), folder / f"{model}.ours")
            measured = dict(_measured(harness, model, ours, arguments, folder))
            _print_model(model, measured, arguments.connections)
            wanted += _wanted(model, measured)
    print_wanted(wanted)


def _measured(
    harness: Harness, model: str, ours: Target, arguments: Namespace, folder: Path
) -> Iterator[tuple[str, Mapping[int, Loads]]]:
    """By peer and configuration, what both came to."""
    for name in _chosen(model, arguments.only):
        peer, _, config = name.partition(":")
        try:
            with harness.running(peer, config, model, folder / "bodies") as theirs:
                yield name, alternate({"peer": theirs, "ours": ours}, arguments)
        except Exception as error:  # noqa: BLE001  whatever another's program does, the others are measured
            print(f"({name} with {model} was left out: {str(error)[-500:]})\n", flush=True)


def _chosen(model: str, only: Iterable[str]) -> list[str]:
    """Peers with configurations: `peer` alone stands for its best, `peer:config` for itself."""
    if not only:
        return list(BEST[model])
    best = [name for name in BEST[model] if name.partition(":")[0] in only]
    return best + [name for name in only if ":" in name]


def _print_model(model: str, measured: Mapping[str, Mapping[int, Loads]], steps: Iterable[int]) -> None:
    for connections in steps:
        print(f"### {model}, {connections} connections\n")
        titles = [
            "",
            "peer, req/s",
            "ours, req/s",
            "ratio",
            "peer: p50, p99 ms",
            "ours: p50, p99 ms",
            "errors",
        ]
        print_table(titles, [_row(name, loads[connections]) for name, loads in measured.items()])
        print(flush=True)


def _row(name: str, loads: Loads) -> list[object]:
    rates = [median(each, lambda one: one.requests_per_s) for each in loads.values()]
    latencies = [
        f"{median(each, lambda one: one.median_ms):.2f}, {median(each, lambda one: one.p99_ms):.2f}"
        for each in loads.values()
    ]
    errors = " / ".join(str(sum(one.errors for one in each)) for each in loads.values())
    return [name, *rates, ratio(loads, lambda one: one.requests_per_s), *latencies, errors]


def _wanted(model: str, measured: Mapping[str, Mapping[int, Loads]]) -> Iterator[Wanted]:
    """The least of our ratios to any peer: above 1 we are ahead of all."""
    for connections in sorted({step for loads in measured.values() for step in loads} - {1}):
        ratios = [ratio(loads[connections], lambda one: one.requests_per_s) for loads in measured.values()]
        yield Wanted(
            what=f"{model}, requests/s at {connections}: of the best peer's",
            measured=min(ratios),
            at_least=1.0,
        )
        tails = [ratio(loads[connections], lambda one: one.p99_ms) for loads in measured.values()]
        yield Wanted(
            what=f"{model}, p99 at {connections}: of the worst ratio to a peer's",
            measured=max(tails),
            at_most=1.0,
        )
