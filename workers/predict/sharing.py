"""Which worker acts, where each could: every worker comes to it by itself, from the same heartbeats."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from uuid import UUID

from shared.predictions.placement import WorkerState


def hosts_elsewhere(version_id: UUID, living: Sequence[WorkerState], me: str) -> int:
    """The processes that hold the version on other workers."""
    return sum(state.hosts_of(version_id) for state in living if state.worker_id != me)


def yields(version_id: UUID, living: Sequence[WorkerState], me: str) -> bool:
    """Whether this worker is the first of the version's holders to let go: the one with most hosts of it."""
    holders = [state for state in living if state.hosts_of(version_id)]
    first = max(holders, key=lambda s: (s.hosts_of(version_id), _rank(version_id, s.worker_id)), default=None)
    return first is not None and first.worker_id == me


def missing_here(pins: Mapping[UUID, int], living: Sequence[WorkerState], me: str) -> list[UUID]:
    """Pinned versions that lack a host which this worker is the one to start.

    Workers that do not hold a version come before those that do, so that one machine less costs the
    fewest; beyond that the order is as good as drawn by lot, but the same for everybody.
    """
    return [version_id for version_id, least in pins.items() if me in _starters(version_id, least, living)]


def _starters(version_id: UUID, least: int, living: Sequence[WorkerState]) -> list[str]:
    missing = least - sum(state.hosts_of(version_id) for state in living)
    able = [state for state in living if state.hosts_of(version_id) or state.room_for_pins > 0]
    able.sort(key=lambda state: (state.hosts_of(version_id), _rank(version_id, state.worker_id)))
    return [state.worker_id for state in able[: max(0, missing)]]


def _rank(version_id: UUID, worker_id: str) -> bytes:
    """Rendezvous hashing: each version has an order of workers of its own."""
    return blake2b(version_id.bytes + worker_id.encode(), digest_size=8).digest()
