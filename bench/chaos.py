"""Processes killed (SIGKILL) under a steady load: which requests fail, and for how long.

Two predict workers and two API processes serve one model. An open-loop client sends at a known rate and
keeps what became of every request; it never sends one again. Who is killed is the one that does the work: the
busiest of its kind. A request whose connection broke is counted apart from one that was answered with an
error. With an API process go the requests on its connections; no other kill may cost a request.
"""

import asyncio
import os
import signal
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import uvloop

from bench.open_load import LOST, Outcome, percentile_ms, statuses, to_target
from bench.processes import cpu_s, until
from bench.running_platform import Platform, running_platform
from bench.sample_models import MODELS, distinct_rows, train, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.wrk import Target

CALM_S = 3.0  # of load before the kill
LOOK_S = 1.0  # of these, in which the busiest shows
SEVERAL = 2  # predict workers, and API processes
ROWS = 5000

Select = Callable[[str], bool]  # by a process's name, as `Platform.processes` has it
VICTIMS: Mapping[str, Select] = {
    "predict worker": lambda name: name.startswith("predict") and ">" not in name,
    "model host": lambda name: name.startswith("predict") and name.count(">") == 2,
    "API process": lambda name: name.startswith("api"),
    "Redis": lambda name: name == "redis",
    "PostgreSQL": lambda name: name == "postgres",
}


class Kill(msgspec.Struct, frozen=True):
    """What a kill came to; times are monotonic seconds."""

    victim: str
    at: float
    outcomes: Sequence[Outcome]

    @property
    def lost(self) -> int:
        """Requests whose connection broke, or was refused."""
        return sum(one.status == LOST for one in self.outcomes)

    @property
    def failed(self) -> int:
        """Requests that were answered, and not with 200."""
        return sum(one.status not in {200, LOST} for one in self.outcomes)

    @property
    def recovered_after_s(self) -> float:
        """Until the last request that failed had been sent; 0 if none did."""
        return max((one.due_at - self.at for one in self.outcomes if one.status != 200), default=0.0)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="iris", help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=300, help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=12, help="of load after each kill (%(default)s)")
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=list(VICTIMS), metavar="VICTIM")


def run(arguments: Namespace) -> None:
    several = {"formation": f"predict={SEVERAL}", "api_processes": str(SEVERAL)}
    with (
        tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name,
        running_platform(**several) as platform,
    ):
        model = train(arguments.model, Path(name))
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="bench")
        tenant.change_settings("bench", cache=False)
        bodies = write_bodies(Path(name) / "bodies", model, distinct_rows(model, ROWS))
        target = tenant.target(uploaded["id"], bodies)
        kills = []
        for victim in arguments.victims:
            until(lambda: _is_ready(platform, target), "the platform is ready again")
            kills.append(uvloop.run(_killed(platform, target, victim, arguments)))
    _print(kills)


def _is_ready(platform: Platform, target: Target) -> bool:
    """Whether it says so, all that it runs is there, and a prediction is answered."""
    with suppress(httpx.TransportError):
        body = target.bodies.read_text().partition("\n")[0]
        headers = {"Content-Type": "application/json", **target.headers}
        ready = httpx.get(f"{platform.url}/readyz").is_success
        answered = httpx.post(target.url, content=body, headers=headers).is_success
        return (
            ready
            and answered
            and {"redis", "postgres", "api", "predict.1", "predict.2"} <= platform.pids().keys()
        )
    return False


async def _killed(platform: Platform, target: Target, victim: str, arguments: Namespace) -> Kill:
    load = to_target(target)
    loading = asyncio.create_task(load.run(rate=arguments.rate, seconds=CALM_S + arguments.seconds))
    await asyncio.sleep(CALM_S - LOOK_S)
    pid = await asyncio.to_thread(_busiest, platform, VICTIMS[victim])
    os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    outcomes = await loading
    load.close()
    return Kill(victim, killed_at, outcomes)


def _busiest(platform: Platform, select: Select) -> int:
    """The process that took the most CPU time of those selected."""
    chosen = {pid: process for pid, (name, process) in platform.processes().items() if select(name)}
    if not chosen:
        raise SystemExit("there is no such process to kill")
    before = {pid: cpu_s(process) for pid, process in chosen.items()}
    time.sleep(LOOK_S)
    return max(chosen, key=lambda pid: cpu_s(chosen[pid]) - before[pid])


def _print(kills: Sequence[Kill]) -> None:
    titles = ["killed", "requests", "connections lost", "failed answers", "which", "last failure after s"]
    titles += ["slowest answer, s", "median ms", "p99 ms"]
    print_table(titles, [_row(kill) for kill in kills])
    print_wanted(
        Wanted(what=f"{kill.victim}: failed {what}", measured=count, at_most=0)
        for kill in kills
        for what, count in (("answers", kill.failed), ("connections", kill.lost))
        if (kill.victim, what) != ("API process", "connections")
    )


def _row(kill: Kill) -> list[object]:
    good = [one for one in kill.outcomes if one.status == 200]
    which = ", ".join(
        f"{n} of {status}" for status, n in statuses(kill.outcomes).items() if status not in {200, LOST}
    )
    slowest_s = percentile_ms([one for one in good if one.due_at + one.latency_s >= kill.at], 1) / 1000
    recovered = kill.recovered_after_s
    latencies = [percentile_ms(good, share) for share in (0.5, 0.99)]
    return [
        kill.victim,
        len(kill.outcomes),
        kill.lost,
        kill.failed,
        which or "-",
        recovered,
        slowest_s,
        *latencies,
    ]
