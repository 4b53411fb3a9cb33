"""A forest of 100 trees, one row a request at one connection: the product beside the same model in process.

The other side is the peers' FastAPI with joblib (one worker, `async def`), which calls scikit-learn where the
request is: no queue, no other process. What a compiled engine saves must pay for the whole way through Redis.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.peers_harness import MODELS, Harness, served_by_us
from bench.realtime import alternate, print_comparison, ratio
from bench.running_platform import running_platform
from bench.tables import Wanted, print_wanted
from bench.wrk import check_wrk


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--peers", type=Path, required=True, help="folder of the peers' harness")
    parser.add_argument("--model", choices=MODELS, default="rf100", help="(%(default)s)")
    parser.add_argument("--config", default="async1", help="of the peer fastapi (%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=int, default=5, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="loads of each (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    harness, name = Harness(arguments.peers), arguments.model
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder, running_platform() as platform:
        bodies = Path(folder)
        ours = served_by_us(platform.tenant(), name, harness.model(name), bodies / "ours")
        with harness.running("fastapi", arguments.config, name, bodies / "theirs") as theirs:
            measured = alternate({"in process": theirs, "product": ours}, arguments)
    print_comparison(measured)
    lower = 1 / ratio(measured[arguments.connections[0]], lambda one: one.median_ms)
    what = "median latency in process, of the product's"
    print_wanted([Wanted(what=what, measured=lower, at_least=3.0)])
