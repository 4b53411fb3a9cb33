"""A thousand clients that leave before their answers: what of their work is saved, and what stays behind.

Each opens a connection, sends a request for a model that computes a while on each row, and is gone before
the answer: half of them politely (FIN), half not (RST). Then: how many of the rows were computed all the
same, by the CPU time of the model hosts (and by the platform's own counting), what is left in the request
streams, whether the next request is answered at once, and what the processes hold more than before. Thrice,
since what the first thousand made the processes keep is no leak unless the next make them keep it again.
"""

import math
import socket
import struct
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.http_connection import post_request
from bench.memory import memory_bytes
from bench.processes import cpu_s
from bench.running_platform import Platform, running_platform
from bench.sample_models import SampleModel, distinct_rows, train_slow, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import Tenant
from bench.wrk import Target

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time: closing resets the connection
AT_ONCE = 200  # clients that wait at a time
STAY_S = 0.1  # after the last of them has sent
REST_S = 2.0  # without work, until what is left is looked at: counts are flushed every second
MOST_WORK_S = 60.0
PATIENT_MS = "60000"  # the deadline, so that only their leaving can spare their work
BATCH_ROWS = 8  # a batch that has begun is computed to its end, whoever leaves
GROUP = "workers"
ROUNDS = 3


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a thousand clients left behind.

    Attributes:
        cpu_s: of all model hosts.
        next_ms: until the request that followed was answered; not a number if it failed.
    """

    cpu_s: float
    next_ms: float
    memory_mib: float
    entries: int
    pending: int
    by_outcome: dict[str, int]
    rows: int


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=1000, help="of each round (%(default)s)")
    parser.add_argument("--row-ms", type=float, default=20.0, help="that the model computes (%(default)s)")


def run(arguments: Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        model = train_slow(Path(name), row_ms=arguments.row_ms)
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="slow")
        tenant.change_settings("slow", cache=False, max_batch_rows=BATCH_ROWS)
        bodies = write_bodies(Path(name) / "bodies", model, distinct_rows(model, arguments.clients))
        target = tenant.target(uploaded["id"], bodies, **{"X-Deadline-Ms": PATIENT_MS})
        row_s = _row_s(platform, tenant, model)
        before_mib = _memory_mib(platform)
        rounds = [_round(platform, tenant, model, target) for _ in range(ROUNDS)]
    _print(rounds, row_s, before_mib, arguments.clients)


def _row_s(platform: Platform, tenant: Tenant, model: SampleModel) -> float:
    """CPU time that a row costs here, by 20 of them."""
    before = _hosts_cpu_s(platform)
    for row in model.rows[:20]:
        tenant.predict("slow", model.body(row)).raise_for_status()
    return (_hosts_cpu_s(platform) - before) / 20


def _round(platform: Platform, tenant: Tenant, model: SampleModel, target: Target) -> Round:
    cpu_before, counted_before = _hosts_cpu_s(platform), _counted(tenant)
    bodies = target.bodies.read_text().splitlines()
    for first in range(0, len(bodies), AT_ONCE):
        _come_and_leave(target, bodies[first : first + AT_ONCE])
    next_ms = _next_ms(tenant, model)
    _wait_for_rest(platform)
    entries, pending = _left_in_streams(platform)
    counted = _counted(tenant)
    return Round(
        cpu_s=_hosts_cpu_s(platform) - cpu_before,
        next_ms=next_ms,
        memory_mib=_memory_mib(platform),
        entries=entries,
        pending=pending,
        by_outcome={name: n - counted_before[0].get(name, 0) for name, n in counted[0].items()},
        rows=counted[1] - counted_before[1],
    )


def _next_ms(tenant: Tenant, model: SampleModel) -> float:
    asked_at = time.monotonic()
    answer = tenant.predict("slow", model.body(model.rows[-1]))
    return (time.monotonic() - asked_at) * 1000 if answer.is_success else math.nan


def _wait_for_rest(platform: Platform) -> None:
    """Wait until the hosts have computed whatever they compute."""
    give_up_at, before = time.monotonic() + MOST_WORK_S, -math.inf
    while (now := _hosts_cpu_s(platform)) > before + 0.1 and time.monotonic() < give_up_at:
        before = now
        time.sleep(REST_S)


def _come_and_leave(target: Target, bodies: Sequence[str]) -> None:
    at = urlsplit(target.url)
    clients = [socket.create_connection((at.hostname, at.port)) for _ in bodies]
    for client, body in zip(clients, bodies, strict=True):
        client.sendall(post_request(target.url, body, target.headers))
    time.sleep(STAY_S)
    for number, client in enumerate(clients):
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()


def _hosts_cpu_s(platform: Platform) -> float:
    """Of all that runs below the predict workers."""
    return sum(
        cpu_s(process)
        for name, process in platform.processes().values()
        if name.startswith("predict") and ">" in name
    )


def _memory_mib(platform: Platform) -> float:
    """Of the platform's own processes, without the servers."""
    return sum(
        memory_bytes(process) / 2**20
        for name, process in platform.processes().values()
        if not name.startswith(("postgres", "redis", "launcher"))
    )


def _left_in_streams(platform: Platform) -> tuple[int, int]:
    """Entries, and those that a worker has taken and not answered, of all request streams."""
    redis = platform.redis()
    streams = list(redis.scan_iter("predict:*", _type="stream"))
    entries = sum(redis.xlen(stream) for stream in streams)
    pending = sum(redis.xpending(stream, GROUP)["pending"] for stream in streams)
    redis.close()
    return entries, pending


def _counted(tenant: Tenant) -> tuple[dict[str, int], int]:
    """By the platform's own counting: requests by outcome, and rows predicted."""
    totals = tenant.analytics("slow").get("totals", {})
    return totals.get("by_outcome", {}), totals.get("rows", 0)


def _print(rounds: Sequence[Round], row_s: float, before_mib: float, clients: int) -> None:
    titles = ["", *(f"round {number}" for number, _ in enumerate(rounds, 1))]
    computed = [one.cpu_s / row_s for one in rounds]
    outcomes = [", ".join(f"{n} {name}" for name, n in one.by_outcome.items() if n) or "-" for one in rounds]
    print(f"{clients} clients a round; a row costs {row_s * 1000:.1f} ms of CPU time.\n")
    print_table(
        titles,
        [
            ("rows computed, by CPU time of the hosts", *computed),
            ("requests by outcome, as the platform counts", *outcomes),
            ("rows, as the platform counts", *(one.rows for one in rounds)),
            ("the next request, ms", *(one.next_ms for one in rounds)),
            ("entries left in streams", *(one.entries for one in rounds)),
            ("of them pending", *(one.pending for one in rounds)),
            (f"memory, MiB (before: {before_mib:,.0f})", *(one.memory_mib for one in rounds)),
        ],
    )
    last = rounds[-1]
    print_wanted(
        [
            Wanted(
                what="share of the rows that was computed", measured=max(computed) / clients, at_most=0.25
            ),
            Wanted(what="entries left", measured=last.entries + last.pending, at_most=0),
            Wanted(
                what="MiB more after the last round than before it",
                measured=last.memory_mib - rounds[-2].memory_mib,
                at_most=5,
            ),
            Wanted(
                what="the next request, in the time of a batch",
                measured=max(one.next_ms for one in rounds) / (row_s * 1000 * BATCH_ROWS),
                at_most=3,
            ),
        ]
    )
