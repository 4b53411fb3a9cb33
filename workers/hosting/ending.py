"""How a host ended, in words, and the verdict on an artifact whose opening ended it."""

import os
import signal

import msgspec

from shared.catalog.verdict import Reason, Verdict
from workers.hosting.errors import HostDied, HostTimedOut

_SMALLER = "Try to load it with the same libraries on your machine, or save a smaller model."


class End(msgspec.Struct, frozen=True):
    """How a host ended: its wait status, and the last that its model printed."""

    status: int | None  # None: nobody knows
    printed: str = ""


def death_of(ended: End, *, fault: Exception | None) -> HostDied:
    """What to tell of a host that is gone.

    Args:
        fault: for which we killed it; None where it ended by itself.
    """
    if fault is not None:
        return HostDied(f"was stopped: {fault}", printed=ended.printed)
    if ended.status is None:
        return HostDied("ended together with its template", printed=ended.printed)
    if os.WIFSIGNALED(ended.status):
        return _killed(os.WTERMSIG(ended.status), ended.printed)
    return HostDied(f"exited with status {os.WEXITSTATUS(ended.status)}", printed=ended.printed)


def rejection_of(death: HostDied | HostTimedOut) -> Verdict:
    """The verdict on an artifact that ends every host which opens it."""
    return Verdict(status="rejected", reason=_reason(death))


def _killed(number: int, printed: str) -> HostDied:
    if number == signal.SIGKILL:  # none of ours: that would be a fault
        how = "was killed (SIGKILL), most likely because memory ran out"
        return HostDied(how, out_of_memory=True, printed=printed)
    if number == signal.SIGSYS:
        how = "was stopped by its sandbox for a forbidden system call"
        return HostDied(how, forbidden_call=True, printed=printed)
    return HostDied(f"crashed ({_name(number)})", printed=printed)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _reason(death: HostDied | HostTimedOut) -> Reason:
    if isinstance(death, HostTimedOut):
        return Reason(
            code="load_timed_out",
            message=f"The model was not loaded and tried within {death.timeout_s:g} s.",
            remedy="Save a smaller or faster model.",
        )
    if death.out_of_memory:
        message = "Opening the model took more memory than there is."
        return Reason(code="out_of_memory", message=message, remedy="Save a smaller model.")
    message = f"Opening the model ended its process: it {death.how}."
    return Reason(code="load_crashed", message=message, remedy=_SMALLER)
