"""Rows a second of a job over a large file, beside those of a plain loop over the same file.

The loop is one process with pyarrow and scikit-learn (bench/plain_loop.py), which starts the threads that it
wants. A job counts from its submission being answered to its success; sending the file and fetching the
result are told apart.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import joblib
import msgspec
import numpy as np
import psutil
import pyarrow as pa

from bench.memory import PeakMemory, process_tree, touch_free_memory
from bench.processes import ROOT
from bench.running_platform import running_platform
from bench.table_files import COLUMNS, MODELS, read_tables, train, write_table
from bench.tenant import Tenant, answered

WORKER = "workers.jobs"
ENDED = {"succeeded", "failed", "cancelled", "expired"}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over the file."""

    seconds: float
    peak_mib: float
    sending_s: float = 0
    fetching_s: float = 0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=2_000_000, help="of 30 float64 columns (%(default)s)")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet", help="(%(default)s)")
    parser.add_argument("--model", choices=MODELS, default="logistic", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="passes of each, in turns (%(default)s)")


def run(arguments: Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name:
        folder = Path(name)
        model = train(arguments.model, folder / "model.joblib")
        source = write_table(folder / f"input.{arguments.format}", rows=arguments.rows)
        size_mb = source.stat().st_size / 1e6
        print(f"{arguments.rows:,} rows, {size_mb:,.0f} MB of {arguments.format}, {arguments.model} model.\n")
        loops, jobs = [], []
        touch_free_memory()
        with running_platform() as platform:
            tenant = platform.tenant()
            tenant.upload(model, name="bench")
            for _ in range(arguments.rounds):
                loops.append(_run_loop(model, source, folder))
                jobs.append(_run_job(tenant, platform.launcher_pid, source, folder))
        _check_result(model, source, folder)
        _print_table(arguments.rows, loops, jobs)


def _run_loop(model: Path, source: Path, folder: Path) -> Run:
    target = folder / f"by-loop{source.suffix}"
    command = [sys.executable, "-m", "bench.plain_loop", str(model), str(source), str(target)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with PeakMemory(lambda: process_tree(process.pid)) as memory:
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the plain loop failed")
    return Run(seconds=float(printed), peak_mib=memory.mib)


def _run_job(tenant: Tenant, launcher_pid: int, source: Path, folder: Path) -> Run:
    started = time.monotonic()
    with PeakMemory(lambda: _batch_processes(launcher_pid)) as memory:
        with source.open("rb") as file:
            answer = tenant.client.post("/jobs", files={"file": file}, data={"model": "bench"})
        sent = time.monotonic()
        job = _wait_for_end(tenant, answered(answer))
    ended = time.monotonic()
    _fetch_result(tenant, job, _result(folder, source))
    return Run(
        seconds=_seconds_between(job["created_at"], job["succeeded_at"]),
        peak_mib=memory.mib,
        sending_s=sent - started,
        fetching_s=time.monotonic() - ended,
    )


def _batch_processes(launcher_pid: int) -> Iterable[psutil.Process]:
    """The batch worker and every model host below it."""
    for process in process_tree(launcher_pid):
        try:
            if WORKER in process.cmdline():
                yield from process_tree(process.pid)
        except psutil.NoSuchProcess:
            continue


def _wait_for_end(tenant: Tenant, job: dict) -> dict:
    while job["status"] not in ENDED:
        time.sleep(1)  # the job's own times count; to ask more often would take of what is measured
        job = answered(tenant.client.get(f"/jobs/{job['id']}"))
    if job["status"] != "succeeded":
        raise SystemExit(f"the job {job['status']}: {job['error']}")
    return job


def _fetch_result(tenant: Tenant, job: dict, target: Path) -> None:
    with tenant.client.stream("GET", f"/jobs/{job['id']}/result") as answer, target.open("wb") as file:
        for piece in answer.iter_bytes():
            file.write(piece)


def _result(folder: Path, source: Path) -> Path:
    return folder / f"by-job{source.suffix}"


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _check_result(model: Path, source: Path, folder: Path) -> None:
    """Every row in its place, every input value as it was, every prediction as scikit-learn's own."""
    estimator, rows = joblib.load(model), 0
    for given, result in _side_by_side(read_tables(source), read_tables(_result(folder, source))):
        if not result.select(COLUMNS).equals(given):
            raise SystemExit(f"the result's columns are not the input's behind row {rows}")
        if not np.array_equal(result.column("prediction").to_numpy(), estimator.predict(given.to_pandas())):
            raise SystemExit(f"the result's predictions are not scikit-learn's behind row {rows}")
        rows += given.num_rows


def _side_by_side(left: Iterator[pa.Table], right: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The same rows of both, as many at a time as both have at hand."""
    one = other = None
    while True:
        one = one if one is not None and one.num_rows else next(left, None)
        other = other if other is not None and other.num_rows else next(right, None)
        if one is None or other is None:
            break
        rows = min(one.num_rows, other.num_rows)
        yield one.slice(0, rows), other.slice(0, rows)
        one, other = one.slice(rows), other.slice(rows)
    if one is not other:
        raise SystemExit("the result has not as many rows as the input")


def _print_table(rows: int, loops: Sequence[Run], jobs: Sequence[Run]) -> None:
    print("| | rows/s | seconds | peak memory, MiB |")
    print("|---|---:|---:|---:|")
    for name, runs in (("plain loop", loops), ("job", jobs)):
        seconds = statistics.median(one.seconds for one in runs)
        peak_mib = max(one.peak_mib for one in runs)
        print(f"| {name} | {rows / seconds:,.0f} | {seconds:.2f} | {peak_mib:,.0f} |")
    loop_s, job_s = (statistics.median(one.seconds for one in runs) for runs in (loops, jobs))
    sending_s, fetching_s = jobs[-1].sending_s, jobs[-1].fetching_s
    print(f"\nRatio {loop_s / job_s:.2f}. Every value and prediction is exact and in its place.")
    print(f"Sending the file took {sending_s:.1f} s and fetching the result {fetching_s:.1f} s on top.")
