"""What one tenant notices of another's flood.

B sends single rows to its model at a modest rate, open loop: alone, and while A floods its own model from
hundreds of connections: first a quick model, which loads the API, then a slow one, which loads the workers.
B must not fail once.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.open_load import Outcome, percentile_ms, to_target
from bench.running_platform import running_platform
from bench.sample_models import SampleModel, distinct_rows, train, train_slow, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import Tenant
from bench.wrk import Load, Target, check_wrk, flood

ROWS = 3000
LEAD_S = 2  # for which A has flooded before B's requests count, and for which it goes on after them


class Step(msgspec.Struct, frozen=True):
    """What B got, and what A did meanwhile."""

    name: str
    outcomes: Sequence[Outcome]
    flood: Load | None = None

    @property
    def failures(self) -> int:
        """B's requests that were not answered 200."""
        return sum(one.status != 200 for one in self.outcomes)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=20, help="B's requests a second (%(default)s)")
    parser.add_argument("--connections", type=int, default=256, help="of A (%(default)s)")
    parser.add_argument("--row-ms", type=float, default=5.0, help="of A's slow model (%(default)s)")
    parser.add_argument("--seconds", type=int, default=30, help="of each step (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        folder = Path(name)
        quick, slow = train("iris", folder), train_slow(folder, row_ms=arguments.row_ms)
        ours = _served(platform.tenant("b"), quick, "b-iris", folder)
        a = platform.tenant("a")
        floods = {
            "quick model": _served(a, quick, "a-iris", folder),
            "slow model": _served(a, slow, "a-slow", folder),
        }
        steps = [Step("alone", _asked(ours, arguments))]
        steps += [_under(f"A floods a {what}", flooded, ours, arguments) for what, flooded in floods.items()]
    _print(steps)


def _served(tenant: Tenant, model: SampleModel, name: str, folder: Path) -> Target:
    bodies = write_bodies(folder / name, model, distinct_rows(model, ROWS))
    uploaded = tenant.upload(model.path, name=name)
    tenant.change_settings(name, cache=False)
    return tenant.target(uploaded["id"], bodies)


def _under(name: str, flooded: Target, ours: Target, arguments: Namespace) -> Step:
    seconds = arguments.seconds + 2 * LEAD_S
    with flood(flooded, connections=arguments.connections, seconds=seconds) as under_way:
        outcomes = _asked(ours, arguments, skip_s=LEAD_S)
    return Step(name, outcomes, under_way.result)


def _asked(target: Target, arguments: Namespace, *, skip_s: float = 0) -> list[Outcome]:
    """B's requests, without those of the first seconds."""
    load = to_target(target)
    outcomes = uvloop.run(load.run(rate=arguments.rate, seconds=skip_s + arguments.seconds))
    first = min(one.due_at for one in outcomes) + skip_s
    return [one for one in outcomes if one.due_at >= first]


def _print(steps: Sequence[Step]) -> None:
    titles = ["B", "requests", "failures", "median ms", "p99 ms", "slowest ms"]
    titles += ["A: 200 a second", "refused a second", "broken"]
    print_table(titles, [_row(step) for step in steps])
    alone = percentile_ms(steps[0].outcomes, 0.5)
    wanted = [Wanted(what="B's failures", measured=sum(step.failures for step in steps), at_most=0)]
    for step in steps[1:]:
        times = percentile_ms(step.outcomes, 0.5) / alone
        print(f"\n{step.name}: B's median is {times:.1f} times what it is alone.")
    print_wanted(wanted)


def _row(step: Step) -> list[object]:
    latencies = [percentile_ms(step.outcomes, share) for share in (0.5, 0.99, 1)]
    flooded: list[object] = ["-", "-", "-"]
    if step.flood:
        refused = step.flood.refused / step.flood.duration_s
        flooded = [step.flood.requests_per_s, refused, step.flood.broken]
    return [step.name, len(step.outcomes), step.failures, *latencies, *flooded]
