"""How quiet the machine is: how long the same piece of work takes before and after a measurement."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

PIECES = 20


@contextmanager
def noise_told() -> Iterator[None]:
    """Print a line at the end of the block that says how far its figures can be trusted."""
    busy = psutil.cpu_percent(interval=0.5)
    before, stolen = _pieces_ms(), _stolen_s()
    started = time.monotonic()
    yield
    stolen_share = (_stolen_s() - stolen) / (time.monotonic() - started) / (os.cpu_count() or 1)
    after = _pieces_ms()
    slowest = max(before + after) / min(before + after) - 1
    print(
        f"\nMachine: {os.cpu_count()} cores, {busy:.0f} % busy before; "
        f"a fixed piece of work took {min(before):.1f} ms before and {min(after):.1f} ms after, "
        f"at worst {slowest:.0%} more; {stolen_share:.1%} of the time was stolen by the hypervisor."
    )


def _pieces_ms() -> list[float]:
    return [_piece_ms() for _ in range(PIECES)]


def _piece_ms() -> float:
    started = time.perf_counter()
    sum(number * number for number in range(200_000))
    return (time.perf_counter() - started) * 1000


def _stolen_s() -> float:
    return getattr(psutil.cpu_times(), "steal", 0.0)
