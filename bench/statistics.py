"""What counting costs: two platforms that differ in STATISTICS alone, loaded in turns."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.realtime import alternate, print_comparison, ratio
from bench.running_platform import running_platform
from bench.sample_models import MODELS, SampleModel, distinct_rows, train, write_bodies
from bench.tables import Wanted, print_wanted
from bench.wrk import Target, check_wrk

ROWS = 3000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="iris", help="(%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--seconds", type=int, default=4, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="loads of each at each step (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-")))
        model = train(arguments.model, folder)
        bodies = write_bodies(folder / "bodies", model, distinct_rows(model, ROWS))
        targets = {
            "without": stack.enter_context(_running(model, bodies, statistics="false")),
            "with statistics": stack.enter_context(_running(model, bodies, statistics="true")),
        }
        measured = alternate(targets, arguments)
    print_comparison(measured)
    rates = {step: ratio(loads, lambda one: one.requests_per_s) for step, loads in measured.items()}
    print_wanted(
        Wanted(what=f"requests/s at {step} with statistics, of those without", measured=rate, at_least=0.95)
        for step, rate in rates.items()
    )


@contextmanager
def _running(model: SampleModel, bodies: Path, *, statistics: str) -> Iterator[Target]:
    with running_platform(statistics=statistics) as platform:
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="bench")
        tenant.change_settings("bench", cache=False)
        yield tenant.target(uploaded["id"], bodies)
