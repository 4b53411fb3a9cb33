"""A long load at half of what the platform can carry, with new versions coming and going.

Meanwhile a version is uploaded, rolled back and promoted in turns. The memory that every process has written
is sampled; its slope is taken by least squares over the last two thirds of the time. A process that came
later, as the host of a new version does, is in the sum alone.
"""

import tempfile
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.process_memory import ProcessMemory, Trend
from bench.running_platform import running_platform
from bench.sample_models import MODELS, SampleModel, distinct_rows, train, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import Tenant, answered
from bench.wrk import Load, Target, check_wrk, load

CONNECTIONS = 32
SEGMENT_S = 30  # of load, told for itself
ROWS = 20_000
KEPT_VERSIONS = 4  # older ones are removed, as their owner would


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--cache", action="store_true", help="leave it on: Redis then grows until it is full")
    parser.add_argument("--minutes", type=float, default=15, help="(%(default)s)")
    parser.add_argument("--model", choices=MODELS, default="iris", help="(%(default)s)")
    parser.add_argument("--share", type=float, default=0.5, help="of the capacity (%(default)s)")
    parser.add_argument("--interval", type=float, default=5, help="seconds between samples (%(default)s)")
    parser.add_argument("--change", type=float, default=20, help="seconds between changes (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        model = train(arguments.model, Path(name))
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="soak")
        bodies = write_bodies(Path(name) / "bodies", model, distinct_rows(model, ROWS))
        target = tenant.target(uploaded["id"], bodies)
        tenant.change_settings("soak", cache=arguments.cache)
        full = load(target, connections=CONNECTIONS, seconds=10)
        pause_ms = _pause_ms(target, full.requests_per_s * arguments.share)
        with (
            ProcessMemory(platform, interval_s=arguments.interval) as memory,
            _changes(tenant, model, every_s=arguments.change) as changes,
        ):
            loads = _loads(target, arguments.minutes * 60, pause_ms)
        trends = memory.trends()
    _print(full, loads, trends, changes)


def _pause_ms(target: Target, wanted_per_s: float) -> int:
    """How long each connection must pause before a request for that many a second: found by trying."""
    pause_ms = round(CONNECTIONS / wanted_per_s * 1000)
    for _ in range(3):
        tried = load(target, connections=CONNECTIONS, seconds=3, pause_ms=pause_ms)
        missing_ms = CONNECTIONS * 1000 * (1 / wanted_per_s - 1 / max(tried.requests_per_s, 1))
        pause_ms = max(pause_ms + round(missing_ms), 1)
    return pause_ms


def _loads(target: Target, seconds: float, pause_ms: int) -> list[Load]:
    segments = max(round(seconds / SEGMENT_S), 1)
    segment_s = round(seconds / segments)
    return [
        load(target, connections=CONNECTIONS, seconds=segment_s, pause_ms=pause_ms) for _ in range(segments)
    ]


class _Changes(threading.Thread):
    """Uploads, rolls back and promotes in turns until it is told to end."""

    def __init__(self, tenant: Tenant, model: SampleModel, every_s: float) -> None:
        super().__init__()
        self._tenant, self._model, self._every_s = tenant, model, every_s
        self._ended = threading.Event()
        self._newest = 1
        self.made: list[str] = []
        self.failed: list[str] = []

    def end(self) -> None:
        """Make no more of them."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Go on."""
        steps = (self._upload, self._roll_back, self._promote)
        while not self._ended.wait(self._every_s):
            step = steps[len(self.made) % len(steps)]
            self.made.append(step.__name__.strip("_"))
            try:
                step()
            except (SystemExit, Exception) as error:  # noqa: BLE001  told at the end, whatever it is
                self.failed.append(f"{self.made[-1]}: {error}")

    def _upload(self) -> None:
        self._newest = self._tenant.upload(self._model.path, name="soak")["version"]["number"]
        if self._newest > KEPT_VERSIONS:
            old = self._newest - KEPT_VERSIONS
            answer = self._tenant.client.delete(f"/models/soak/versions/{old}")
            answer.raise_for_status()

    def _roll_back(self) -> None:
        answered(self._tenant.client.post("/models/soak/rollback"))

    def _promote(self) -> None:
        answered(self._tenant.client.post(f"/models/soak/versions/{self._newest}/promote"))


@contextmanager
def _changes(tenant: Tenant, model: SampleModel, *, every_s: float):
    changes = _Changes(tenant, model, every_s)
    changes.start()
    try:
        yield changes
    finally:
        changes.end()


def _print(full: Load, loads: Sequence[Load], trends: Sequence[Trend], changes: _Changes) -> None:
    print(f"Capacity: {full.requests_per_s:,.0f} requests a second over {CONNECTIONS} connections.\n")
    titles = ["load", "requests/s", "median ms", "p99 ms", "refused", "broken"]
    print_table(titles, [_row(f"part {number}", one) for number, one in enumerate(loads, 1)])
    made = ", ".join(f"{changes.made.count(name)} {name}" for name in sorted(set(changes.made)))
    print(f"\nChanges meanwhile: {made or 'none'}; failed: {len(changes.failed)}.")
    for line in changes.failed[:5]:
        print(f"- {line}")
    print()
    print_table(
        ["memory", "pid", "first MiB", "last MiB", "MiB an hour"],
        [(one.name, str(one.pid or ""), one.first_mib, one.last_mib, one.mib_an_hour) for one in trends],
    )
    errors = sum(one.errors for one in loads)
    steepest = max(one.mib_an_hour for one in trends if one.pid)
    print_wanted(
        [
            Wanted(what="failed requests", measured=errors, at_most=0),
            Wanted(what="failed changes", measured=len(changes.failed), at_most=0),
            Wanted(what="MiB an hour, the steepest process", measured=steepest, at_most=10),
        ]
    )


def _row(name: str, one: Load) -> list[object]:
    return [name, one.requests_per_s, one.median_ms, one.p99_ms, one.refused, one.broken]
