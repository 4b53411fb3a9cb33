"""When a version gets a host more or one fewer: the rules, without any I/O. Times are monotonic seconds."""

from enum import StrEnum

import msgspec

PRESSED_ABOVE, PRESSED_FOR_S = 0.8, 2.0
IDLE_BELOW = 0.3
SPARE_HOST_FOR_S = 30.0  # an idle host beside others of the same worker
SPARE_WORKER_FOR_S = 60.0  # the last host of a worker, where other workers hold the version
RELAPSE_S = 60.0  # a host that is missed this soon was taken away too early
LONGEST_PATIENCE = 16  # times the above


class Step(StrEnum):
    """What to do for a version on this worker."""

    ADD = "add"  # a host
    REMOVE = "remove"  # a host
    ASK = "ask"  # other workers to hold it too
    LEAVE = "leave"  # it to the other workers that hold it


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to do, and for how many.

    Attributes:
        busy: the fraction of the last second in which all hosts were computing.
        waiting_rows: that no host has begun on.
        hosts: of this worker.
        elsewhere: hosts of other workers.
    """

    busy: float
    waiting_rows: int
    hosts: int
    elsewhere: int = 0


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is allowed.

    Attributes:
        least: hosts over all workers.
        most: hosts over all workers; None: any number.
        room: this worker may start another now.
        yields: of the workers that hold the version it is the first to let go.
    """

    least: int = 0
    most: int | None = None
    room: bool = True
    yields: bool = False


class Scaling:
    """Watches one version on one worker; ask it at each heartbeat."""

    def __init__(self) -> None:
        self._pressed_since: float | None = None
        self._idle_since: float | None = None
        self._removed_at: float | None = None
        self._patience = 1

    def next_step(self, load: Load, bounds: Bounds, *, now: float) -> Step | None:
        """What to do now; None: nothing. The step is taken as done."""
        self._watch(load, now)
        step = self._trim(load, bounds) or self._grow(load, bounds, now) or self._shrink(load, bounds, now)
        if step is not None:
            self._pressed_since = self._idle_since = None
            self._learn(step, now)
        return step

    def _watch(self, load: Load, now: float) -> None:
        pressed, idle = load.busy > PRESSED_ABOVE, load.busy < IDLE_BELOW
        self._pressed_since = (self._pressed_since or now) if pressed else None
        self._idle_since = (self._idle_since or now) if idle else None

    def _trim(self, load: Load, bounds: Bounds) -> Step | None:
        """There are more than the owner allows."""
        if bounds.most is None or load.hosts + load.elsewhere <= bounds.most or not bounds.yields:
            return None
        return Step.REMOVE if load.hosts > 1 else Step.LEAVE

    def _grow(self, load: Load, bounds: Bounds, now: float) -> Step | None:
        total = load.hosts + load.elsewhere
        allowed = bounds.most is None or total < bounds.most
        if not (allowed and load.waiting_rows and _lasted(self._pressed_since, PRESSED_FOR_S, now)):
            return None
        return Step.ADD if bounds.room else Step.ASK

    def _shrink(self, load: Load, bounds: Bounds, now: float) -> Step | None:
        spare = load.hosts + load.elsewhere > bounds.least
        if load.hosts > 1:
            lasted = _lasted(self._idle_since, SPARE_HOST_FOR_S * self._patience, now)
            return Step.REMOVE if spare and lasted else None
        spare = spare and load.elsewhere > 0 and bounds.yields
        return Step.LEAVE if spare and _lasted(self._idle_since, SPARE_WORKER_FOR_S, now) else None

    def _learn(self, step: Step, now: float) -> None:
        """Wait longer the next time, where what was taken away was missed at once."""
        if step is Step.REMOVE:
            self._removed_at = now
        elif step is Step.ADD:
            missed = self._removed_at is not None and now - self._removed_at < RELAPSE_S
            self._patience = min(2 * self._patience, LONGEST_PATIENCE) if missed else 1


def _lasted(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since >= seconds
