"""What a host gives up before it sees its artifact."""

import os
import signal

from workers.host.cell import identity, kernel, landlock, limits, scratch
from workers.host.cell.walls import Walls, shut

# The template's, in truth. TensorFlow ends a process that cannot read it.
_COMMAND_LINE = "/proc/self/cmdline"


class NotConfined(Exception):
    """A layer could not be put on."""


def close(walls: Walls, *, parent: int, memory_bytes: int) -> None:
    """Put every layer on this process that was found to work here.

    Args:
        parent: the template's process id. If it is gone already, its death will not be signalled.
        memory_bytes: that this process may have for itself from now on, and as much in its scratch folder.

    Raises:
        NotConfined: the host must not go on.
    """
    try:
        _close(walls, memory_bytes)
    except OSError as error:
        raise NotConfined(f"a layer of the cell that worked before does not now: {error}") from error
    if os.getppid() != parent:
        raise NotConfined("the template died during the fork")


def _close(walls: Walls, memory_bytes: int) -> None:
    layers = walls.layers
    os.setsid()
    _first_to_go_when_memory_runs_out()
    room = None
    if layers.scratch != "none":
        owner = identity.user_of_host(layers.identity)
        room = scratch.make(layers.scratch, walls.base, size_bytes=memory_bytes, owner=owner)
    identity.assume(layers.identity, search=layers.search)
    limits.impose(
        memory_bytes=memory_bytes,
        file_bytes=memory_bytes if room else 0,
        shared_user=layers.identity == "shared user",
    )
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # no other process of this user may look into it
    if layers.landlock:
        _fence(walls, room)
    if layers.filter:
        shut(walls.program)


def _fence(walls: Walls, room: str | None) -> None:
    writable = landlock.open_paths([room]) if room else []
    own = landlock.open_paths([_COMMAND_LINE])  # stays open: procfs forgets a file that nobody holds
    landlock.restrict(walls.layers.landlock, readable=[*walls.readable, *own], writable=writable)
    for descriptor in (*walls.readable, *writable):
        os.close(descriptor)
    if room:
        scratch.use(room)


def _first_to_go_when_memory_runs_out() -> None:
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or the file would belong to root
    with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123  no pathlib between fork and door
        score.write("1000")
