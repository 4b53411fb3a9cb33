"""Three times the load that the product can carry: what is still answered, and what the others are told.

A model that computes a fixed time on each row makes the capacity small, so that neither wrk nor the
open-loop client limits anything. The peak is found by wrk, closed loop; then requests leave at a multiple of
it, however late the answers are. Goodput is answers of 200 within the deadline, a second. Of the refused
some follow their Retry-After: while the flood lasts a retry should fare no worse than any other request, and
one that falls due after it must succeed.
"""

import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.open_load import LOST, UNSENT, Outcome, percentile, percentile_ms, statuses, to_target
from bench.running_platform import running_platform
from bench.sample_models import distinct_rows, train_slow, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.wrk import Target, check_wrk, load

PEAK_CONNECTIONS = (8, 32, 64)
REFUSALS = (429, 503)
RETRIED_SHARE = 20  # every so manieth refusal is followed up
BATCH_ROWS = 32
SETTLING_S = 2.0  # at the beginning of the flood, before goodput is counted


class Overload(msgspec.Struct, frozen=True):
    """What became of the requests of a flood, and of the retries of some that were refused.

    Attributes:
        started: monotonic seconds, and so `ended`.
    """

    started: float
    ended: float
    outcomes: Sequence[Outcome]
    retries: Sequence[Outcome]
    lags_s: Sequence[float]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--row-ms", type=float, default=3.0, help="that the model computes (%(default)s)")
    parser.add_argument("--factor", type=float, default=3.0, help="of the peak (%(default)s)")
    parser.add_argument("--deadline-ms", type=int, default=1000, help="of each request (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each load that looks for the peak")
    parser.add_argument("--flood-seconds", type=int, default=20, help="(%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        model = train_slow(Path(name), row_ms=arguments.row_ms)
        bodies = write_bodies(Path(name) / "bodies", model, distinct_rows(model, 5000))
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="slow")
        tenant.change_settings("slow", cache=False, max_batch_rows=BATCH_ROWS)
        target = tenant.target(uploaded["id"], bodies, **{"X-Deadline-Ms": str(arguments.deadline_ms)})
        peak = _peak(target, arguments.seconds)
        flood = uvloop.run(_flooded(target, rate=peak * arguments.factor, seconds=arguments.flood_seconds))
        _print(flood, peak, arguments)


def _peak(target: Target, seconds: int) -> float:
    """The most answers of 200 a second that a closed loop gets."""
    loads = [load(target, connections=connections, seconds=seconds) for connections in PEAK_CONNECTIONS]
    print_table(
        ["closed loop, connections", "answered a second", "median ms", "p99 ms", "errors"],
        [
            (connections, one.requests_per_s, one.median_ms, one.p99_ms, one.errors)
            for connections, one in zip(PEAK_CONNECTIONS, loads, strict=True)
        ],
    )
    return max(one.requests_per_s for one in loads)


async def _flooded(target: Target, *, rate: float, seconds: float) -> Overload:
    load, refused = to_target(target), 0
    retries: list[Outcome] = []

    def follow_up(outcome: Outcome) -> None:
        nonlocal refused
        refused += outcome.status in REFUSALS
        if outcome.status in REFUSALS and refused % RETRIED_SHARE == 1:
            load.send_after(float(outcome.answer.header("Retry-After") or 0), retries.append)

    started = time.monotonic()
    await load.run(rate=rate, seconds=seconds, saw=follow_up)
    ended = started + seconds
    retried = {id(retry) for retry in retries}
    load.close()
    return Overload(
        started, ended, [one for one in load.outcomes if id(one) not in retried], retries, load.lags_s
    )


def _print(flood: Overload, peak: float, arguments: Namespace) -> None:
    good = [one for one in flood.outcomes if _is_good(one, arguments.deadline_ms)]
    goodput = _rate(good, flood)
    refused = [one for one in flood.outcomes if one.status in REFUSALS]
    print()
    print_table(["flood", ""], _rows(flood, good, goodput))
    print_wanted(
        [
            Wanted(what="goodput, of the peak", measured=goodput / peak, at_least=0.9),
            Wanted(what="refusals with Retry-After", measured=_share(_says_when, refused), at_least=1.0),
            Wanted(
                what="retries after the flood that succeeded", measured=_late_retries(flood), at_least=1.0
            ),
            Wanted(
                what="accepted, p99 of the deadline",
                measured=percentile_ms(_accepted(flood.outcomes), 0.99) / arguments.deadline_ms,
                at_most=1.0,
            ),
        ]
    )


def _rows(flood: Overload, good: Sequence[Outcome], goodput: float) -> list[tuple[str, object]]:
    total, accepted = len(flood.outcomes), _accepted(flood.outcomes)
    refused = [one for one in flood.outcomes if one.status in REFUSALS]
    waits = [float(one.answer.header("Retry-After")) for one in refused if _says_when(one)]
    during = [one for one in flood.retries if one.due_at < flood.ended]
    return [
        ("requests sent a second", total / (flood.ended - flood.started)),
        ("sent late by the client itself, p99 ms", percentile(flood.lags_s, 0.99) * 1000),
        ("answered 200 within the deadline, a second", goodput),
        ("answered 200 too late", len(accepted) - len(good)),
        *(
            (f"share of {_name(status)}", f"{n / total:.1%}")
            for status, n in statuses(flood.outcomes).items()
        ),
        ("accepted: median ms", percentile_ms(accepted, 0.5)),
        ("accepted: p99 ms", percentile_ms(accepted, 0.99)),
        ("accepted: slowest ms", percentile_ms(accepted, 1)),
        ("refused: median ms", percentile_ms(refused, 0.5)),
        ("refused: p99 ms", percentile_ms(refused, 0.99)),
        ("Retry-After, median s", statistics.median(waits) if waits else float("nan")),
        ("share of first requests that got 200", _share(_is_ok, flood.outcomes)),
        (f"share of {len(during)} retries in the flood that got 200", _share(_is_ok, during)),
    ]


def _rate(good: Sequence[Outcome], flood: Overload) -> float:
    """A second, without the flood's beginning."""
    first = flood.started + SETTLING_S
    return sum(first <= one.due_at < flood.ended for one in good) / (flood.ended - first)


def _late_retries(flood: Overload) -> float:
    """Of those that fell due once the last of the flood had been given its time."""
    return _share(_is_ok, [one for one in flood.retries if one.due_at >= flood.ended])


def _accepted(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [one for one in outcomes if _is_ok(one)]


def _is_good(outcome: Outcome, deadline_ms: int) -> bool:
    return _is_ok(outcome) and outcome.latency_s * 1000 <= deadline_ms


def _is_ok(outcome: Outcome) -> bool:
    return outcome.status == 200


def _says_when(outcome: Outcome) -> bool:
    return outcome.answer.header("Retry-After").isdecimal()


def _share(holds, outcomes: Sequence[Outcome]) -> float:
    return sum(map(holds, outcomes)) / len(outcomes) if outcomes else float("nan")


def _name(status: int) -> str:
    return {LOST: "lost connections", UNSENT: "requests that found no connection free"}.get(
        status, str(status)
    )
