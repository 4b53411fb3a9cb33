"""Broken files, footers and forms by the hundred thousand: each must be read, or refused with a reason.

They are made of whole ones by a few changes each: bits, bytes, lengths, cuts, splices. What is read is
compared with what pyarrow, or Python's own modules, find in the same bytes. The process that reads may take a
gigabyte more than it began with, and 20 seconds an input; its death counts as a fault like an error of an
unknown kind.
Every input has a number, and the same number makes the same input.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.fuzzing.guarded import Fault, Tried, tried
from bench.fuzzing.trials import TRIALS
from bench.tables import print_table


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=12, help="in all (%(default)s)")
    parser.add_argument("--first", type=int, default=1_000_000, help="number of the first (%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--faults", type=Path, help="file that all faults are written to")


def run(arguments: Namespace) -> None:
    seconds = arguments.minutes * 60 / len(arguments.kinds)
    with tempfile.TemporaryDirectory(prefix="modelyard-fuzz-") as folder:
        trials = {kind: TRIALS[kind](Path(folder)) for kind in arguments.kinds}
        found = {kind: tried(trial, first=arguments.first, seconds=seconds) for kind, trial in trials.items()}
    _print_outcomes(found)
    faults = [(kind, fault) for kind, one in found.items() for fault in one.faults]
    told = "\n".join(_told(kind, fault) for kind, fault in faults)
    if arguments.faults:
        arguments.faults.write_text(told)
    if faults:
        sys.exit(f"{len(faults)} faults:\n{told[:4000]}")


def _print_outcomes(found: dict[str, Tried]) -> None:
    titles = ["", "inputs", "faults", "slowest, s", "memory, MiB", "outcomes"]
    print_table(
        titles,
        [
            (
                kind,
                one.inputs,
                len(one.faults),
                round(one.slowest_s, 2),
                one.peak_bytes >> 20,
                ", ".join(f"{what} {count:,}" for what, count in one.outcomes.most_common()),
            )
            for kind, one in found.items()
        ],
    )


def _told(kind: str, fault: Fault) -> str:
    return f"--- {kind} {fault.number}\n{fault.what.strip()}"
