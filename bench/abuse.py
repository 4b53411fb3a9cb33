"""Those who mean harm, and what somebody honest notices of them.

Somebody predicts single rows by an API key at a modest rate, open loop, and others log in with the right
password: alone; under floods of wrong passwords, of keys, tokens, models and pages that are not there; beside
clients that dribble, do not read, or send far too much; and afterwards. Then many ask at once against a
limit that four processes count.
"""

import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import uvloop

from bench import exact_limits, floods, slow_clients
from bench.memory import written_bytes
from bench.open_load import Outcome, percentile, percentile_ms, to_target
from bench.processes import cpu_s
from bench.running_platform import Platform, running_platform
from bench.sample_models import distinct_rows, train, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import Tenant, answered
from bench.wrk import Target

LEAD_S = 2.0  # for which an attack has lasted before the honest requests count
LOGIN_EVERY_S = 1.5
USERS = 5
PASSWORD = "known to everybody"
SLOW = {"heads": 500, "bodies": 200, "deaf": 200}
LARGE = {"large": 40, "huge": 20}
LIMIT = 60  # requests a minute, of the key that is counted exactly: one more fits each second
LIMIT_S = 5.0
FLOODS: Mapping[str, floods.Requests] = {
    "wrong passwords": floods.wrong_passwords,
    "unknown keys, to read": floods.unknown_keys,
    "unknown keys, to predict": floods.unknown_predict_keys,
    "forged tokens": floods.forged_tokens,
    "models that are not there": floods.missing_models,
    "pages that are not there": floods.missing_pages,
}


class LogIn(msgspec.Struct, frozen=True):
    """An attempt with the right password."""

    status: int
    latency_s: float


class Step(msgspec.Struct, frozen=True):
    """What the honest got during one attack, and what the attack came to in words."""

    name: str
    predictions: Sequence[Outcome]
    log_ins: Sequence[LogIn]
    attack: str
    memory_mib: Mapping[str, float]

    @property
    def failures(self) -> int:
        """Predictions that were not answered 200."""
        return sum(one.status != 200 for one in self.predictions)


class Honest:
    """Somebody who predicts, and some who log in."""

    def __init__(self, platform: Platform, folder: Path, arguments: Namespace) -> None:
        self._platform, self._arguments = platform, arguments
        model = train("iris", folder)
        tenant = platform.tenant("honest")
        uploaded = tenant.upload(model.path, name="iris")
        tenant.change_settings("iris", cache=False)
        bodies = write_bodies(folder / "bodies", model, distinct_rows(model, 3000))
        self._target: Target = tenant.target(uploaded["id"], bodies)
        self.tenant, self._users = tenant, [_register(platform.url, number) for number in range(USERS)]

    def step(self, name: str, attack: Callable[[], str] = lambda: "") -> Step:
        """Predict and log in for a while; `attack` is asked afterwards what it came to."""
        with self._logging_in() as log_ins:
            outcomes = self._predict()
        memory = _memory_mib(self._platform)
        print(f"{name}: {percentile_ms(outcomes, 0.99):,.0f} ms", file=sys.stderr, flush=True)
        return Step(name, outcomes, log_ins, attack(), memory)

    def api_cpu_s(self) -> float:
        """CPU time of all API processes so far."""
        processes = self._platform.processes().values()
        return sum(cpu_s(process) for name, process in processes if name.startswith("api"))

    def _predict(self) -> list[Outcome]:
        seconds, rate = self._arguments.seconds, self._arguments.rate
        load = to_target(self._target)
        outcomes = uvloop.run(load.run(rate=rate, seconds=LEAD_S + seconds))
        first = min(one.due_at for one in outcomes) + LEAD_S
        return [one for one in outcomes if one.due_at >= first]

    @contextmanager
    def _logging_in(self) -> Iterator[list[LogIn]]:
        made: list[LogIn] = []
        over = threading.Event()
        thread = threading.Thread(target=self._log_in_on, args=(made, over))
        thread.start()
        try:
            yield made
        finally:
            over.set()
            thread.join()

    def _log_in_on(self, made: list[LogIn], over: threading.Event) -> None:
        number = 0
        while not over.wait(LOGIN_EVERY_S):
            made.append(self._log_in(number))
            number += 1

    def _log_in(self, number: int) -> LogIn:
        started = time.monotonic()
        try:
            status = httpx.post(
                f"{self._platform.url}/api/v1/auth/login",
                json={"email": self._users[number % USERS], "password": PASSWORD},
                headers={"X-Forwarded-For": f"192.0.2.{number % USERS}"},
                timeout=30,
            ).status_code
        except httpx.HTTPError:
            status = 0
        return LogIn(status, time.monotonic() - started)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=50, help="honest predictions a second (%(default)s)")
    parser.add_argument("--flood-rate", type=float, default=1000, help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of each step (%(default)s)")
    parser.add_argument("--only", nargs="*", default=[], help="steps whose names begin so")


def run(arguments: Namespace) -> None:
    settings = {"api_processes": "2", "trusted_proxies": "127.0.0.1/32"}
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name:
        with running_platform(**settings) as platform:
            steps = _steps(Honest(platform, Path(name), arguments), platform, arguments)
        _print(steps)
        if _is_wanted("limits", arguments):
            with running_platform(api_processes="4") as platform:
                _print_limits(platform, Path(name))


def _steps(honest: Honest, platform: Platform, arguments: Namespace) -> list[Step]:
    steps = [honest.step("alone")]
    for name, requests in FLOODS.items():
        if _is_wanted(name, arguments):
            steps.append(_flooded(name, requests, honest, url=platform.url, arguments=arguments))
    for name, kinds in {"slow clients": SLOW, "large bodies": LARGE}.items():
        if _is_wanted(name, arguments):
            steps.append(_held(name, kinds, honest, url=platform.url, arguments=arguments))
    return [*steps, honest.step("afterwards")]


def _flooded(name: str, requests: floods.Requests, honest: Honest, *, url: str, arguments: Namespace) -> Step:
    seconds = arguments.seconds + 2 * LEAD_S
    key = honest.tenant.key["Authorization"].removeprefix("Bearer ")
    before_s = honest.api_cpu_s()
    with floods.flood(requests, url=url, key=key, rate=arguments.flood_rate, seconds=seconds) as under_way:
        return honest.step(name, lambda: _told(under_way.result(), honest.api_cpu_s() - before_s))


def _held(name: str, kinds: dict[str, int], honest: Honest, *, url: str, arguments: Namespace) -> Step:
    seconds = arguments.seconds + 2 * LEAD_S + 20  # the server has its patience
    key = honest.tenant.key["Authorization"].removeprefix("Bearer ")
    with slow_clients.holding(url, key, kinds, seconds=seconds) as under_way:
        return honest.step(name, lambda: _told_held(under_way.result()))


def _told(flooded: floods.Flooded, cpu_s: float) -> str:
    answers = ", ".join(f"{status}: {number:,}" for status, number in sorted(flooded.statuses.items()))
    each_ms = cpu_s * 1000 / sum(flooded.statuses.values())
    return (
        f"{flooded.rate:,.0f} a second; {answers}; p99 {flooded.p99_ms:,.0f} ms,"
        f" {flooded.lag_p99_ms:,.0f} of it the flood's own;"
        f" {each_ms:.2f} ms of the API's CPU for each"
    )


def _told_held(held: slow_clients.Held) -> str:
    answers = ", ".join(f"{kind} ({number})" for kind, number in sorted(held.answers.items()))
    return f"{answers}; all ended after {held.seconds:.0f} s; {held.sent_bytes / 2**20:,.0f} MiB sent"


def _is_wanted(name: str, arguments: Namespace) -> bool:
    return not arguments.only or any(name.startswith(start) for start in arguments.only)


def _register(url: str, number: int) -> str:
    account = {"email": f"user{number}@example.com", "password": PASSWORD}
    answered(httpx.post(f"{url}/api/v1/auth/register", json=account, timeout=30))
    return account["email"]


def _memory_mib(platform: Platform) -> dict[str, float]:
    """Of each entry of the Procfile with all below it; servers too."""
    sums: dict[str, float] = {}
    for name, process in platform.processes().values():
        entry = name.partition(" > ")[0]
        sums[entry] = sums.get(entry, 0) + written_bytes(process) / 2**20
    return sums


def _print(steps: Sequence[Step]) -> None:
    titles = ["the honest", "predictions", "failures", "median ms", "p99 ms", "slowest ms"]
    print_table([*titles, "log-ins that succeeded", "their median ms"], [_row(step) for step in steps])
    print()
    print_table(["attack", "what it came to"], [(step.name, step.attack) for step in steps if step.attack])
    print()
    entries = sorted(steps[0].memory_mib)
    print_table(
        ["memory, MiB", *entries],
        [(step.name, *(step.memory_mib.get(entry, 0.0) for entry in entries)) for step in steps],
    )
    grown = steps[-1].memory_mib["api"] - steps[0].memory_mib["api"]
    print_wanted(
        [
            Wanted(what="predictions that failed", measured=sum(one.failures for one in steps), at_most=0),
            Wanted(
                what="p99 under the worst attack, ms",
                measured=max(percentile_ms(step.predictions, 0.99) for step in steps),
                at_most=250,
            ),
            Wanted(what="memory that the API kept, MiB", measured=grown, at_most=64),
        ]
    )


def _row(step: Step) -> list[object]:
    times = [percentile_ms(step.predictions, share) for share in (0.5, 0.99, 1)]
    good = [one.latency_s for one in step.log_ins if one.status == 200]
    return [
        step.name,
        len(step.predictions),
        step.failures,
        *times,
        f"{len(good)} of {len(step.log_ins)}",
        percentile(good, 0.5) * 1000,
    ]


def _print_limits(platform: Platform, folder: Path) -> None:
    tenant = Tenant(platform.url, "limited")
    tenant.upload(train("iris", folder).path, name="iris")
    made = answered(tenant.client.post("/api-keys", json={"name": "limited", "rate_limit": LIMIT}))
    counted = exact_limits.count(
        platform.url, made["secret"], per_minute=LIMIT, connections=64, seconds=LIMIT_S
    )
    print(f"\n{LIMIT} requests a minute, four API processes, 64 connections for {LIMIT_S:g} s each:\n")
    print_table(
        ["kind", "asked", "allowed", "due", "statuses"],
        [(one.kind, one.asked, one.allowed, one.due, str(one.statuses)) for one in counted],
    )
    off = max(abs(one.allowed - one.due) for one in counted)
    print_wanted([Wanted(what="off the limit by, at most", measured=float(off), at_most=1)])
