"""Repeated traffic: how much of it the cache answers, and what that brings.

Rows are drawn from 10,000 by Zipf's law with exponent 1.1, as popular things are asked for. The hit ratio is
counted on a sample of the answers (`Cache-Status`) once the cache is warm, and by the platform's own counters
over the same sample. Then the same traffic is loaded with the cache and without, in turns.
"""

import math
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from bench.open_load import to_target
from bench.realtime import print_comparison, ratio
from bench.running_platform import Platform, running_platform
from bench.sample_models import MODELS, SampleModel, distinct_rows, train, write_bodies
from bench.tables import Wanted, print_table, print_wanted
from bench.tenant import Tenant
from bench.wrk import Load, Target, check_wrk, load

DISTINCT = 10_000
EXPONENT = 1.1
DRAWN = 100_000
SAMPLE_RATE, SAMPLE_S = 500, 10
FLUSH_S = 2.0  # until what was counted can be read


class HitRatio(msgspec.Struct, frozen=True):
    """Of a sample of the traffic; not a number where nothing tells."""

    by_answers: float
    by_counters: float


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="iris", help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each (%(default)s)")


def run(arguments: Namespace) -> None:
    check_wrk()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, running_platform() as platform:
        model = train(arguments.model, Path(name))
        tenant = platform.tenant()
        uploaded = tenant.upload(model.path, name="bench")
        target = tenant.target(uploaded["id"], write_bodies(Path(name) / "bodies", model, _drawn(model)))
        tenant.change_settings("bench", cache=True)
        load(target, connections=arguments.connections, seconds=10)  # warms the cache
        hits = _hit_ratio(platform, target)
        loads = _alternated(tenant, target, arguments)
    _print(hits, loads, arguments.connections)


def _drawn(model: SampleModel) -> Iterator[list[float]]:
    """Rows as they are asked for, popular ones often."""
    weights = np.arange(1, DISTINCT + 1) ** -EXPONENT
    drawn = np.random.default_rng(0).choice(DISTINCT, size=DRAWN, p=weights / weights.sum())
    rows = list(distinct_rows(model, DISTINCT))
    return (rows[index] for index in drawn)


def _hit_ratio(platform: Platform, target: Target) -> HitRatio:
    time.sleep(FLUSH_S)
    before, sample = _counters(platform), to_target(target)
    outcomes = uvloop.run(sample.run(rate=SAMPLE_RATE, seconds=SAMPLE_S))
    time.sleep(FLUSH_S)
    hits, misses = (now - then for now, then in zip(_counters(platform), before, strict=True))
    told = [one.answer.header("Cache-Status") for one in outcomes]
    return HitRatio(
        by_answers=sum("; hit" in status for status in told) / len(told) if any(told) else math.nan,
        by_counters=hits / (hits + misses) if hits + misses else math.nan,
    )


def _counters(platform: Platform) -> tuple[float, float]:
    """Hits and misses, of all models."""
    samples = platform.metrics().items()
    return tuple(
        sum(value for name, value in samples if name.startswith(f"modelyard_predict_cache_{what}_total"))
        for what in ("hits", "misses")
    )


def _alternated(tenant: Tenant, target: Target, arguments: Namespace) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {"without": [], "with the cache": []}
    for _ in range(arguments.rounds):
        for name, of_name in loads.items():
            tenant.change_settings("bench", cache=name != "without")
            load(target, connections=arguments.connections, seconds=2)  # the change arrives, the cache warms
            of_name.append(load(target, connections=arguments.connections, seconds=arguments.seconds))
    return loads


def _print(hits: HitRatio, loads: dict[str, list[Load]], connections: int) -> None:
    print_table(["hit ratio", ""], [("by Cache-Status", hits.by_answers), ("by /metrics", hits.by_counters)])
    print()
    print_comparison({connections: loads})
    faster = ratio(loads, lambda one: one.requests_per_s)
    print_wanted(
        [
            Wanted(what="hit ratio, by Cache-Status", measured=hits.by_answers, at_least=0.7),
            Wanted(what="hit ratio, by /metrics", measured=hits.by_counters, at_least=0.7),
            Wanted(what="requests/s with the cache, of those without", measured=faster, at_least=1.0),
        ]
    )
