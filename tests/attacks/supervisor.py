"""A process that hosts models as a worker does, under the identity that a test gave it.

It reads requests, one JSON text a line, opens the artifact that each names in a host of its own, asks it,
and tells what came of it. While the attack runs, and afterwards, it asks a model of another tenant.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from tests.attacks.planted import ROWS_SECRET
from workers.hosting.call import PredictCall
from workers.hosting.errors import HostDied
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate

TRIGGER = 666.0
LEFT_WAIT_S = 3.0
PR_SET_CHILD_SUBREAPER = 36

SIGNATURE = Signature(
    inputs=[Column(name="x0", datatype=Datatype.FP64), Column(name="x1", datatype=Datatype.FP64)],
    named=False,
    layout=Layout.MATRIX,
    outputs=[Output(name="label", datatype=Datatype.BYTES)],
)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What to try.

    Attributes:
        artifact: path of the file to open.
        probe: open it as an upload is opened, instead of by a known signature.
        calls: how often to ask it once it is open.
        large: ask for rows that travel through shared memory.
    """

    artifact: str
    probe: bool = False
    calls: int = 1
    large: bool = False
    load_timeout_s: float = 30.0
    call_timeout_s: float = 30.0


class Told(msgspec.Struct, kw_only=True):
    """What a tenant, and whoever watches the machine, saw.

    Attributes:
        heard: everything that came out of the host: verdict, labels, errors, what it printed.
        ended: how it ended, where it did.
        fault: what went wrong in the supervisor itself, where it did.
        peak_bytes: the most memory that the host and its children had.
        left: processes that outlived the host.
        harmed: what was wrong with the other tenant's model.
    """

    heard: str = ""
    ended: str = ""
    fault: str = ""
    peak_bytes: int = 0
    left: list[str] = []
    harmed: list[str] = []


class Supervisor:
    """A template, a model of another tenant in a host, and a process to be attacked."""

    def __init__(self, control: Path, **limits: Any) -> None:
        self._template = HostTemplate(**limits)
        self._template.start()
        self._template_pid = self._template.pid
        self._control = self._opened(control)
        self._victim = _victim()
        self._shared = _shared_memory(os.environ["SECRET_KEY"].encode())

    def facts(self) -> dict[str, int]:
        """Numbers of processes and of shared memory, for attacks that aim at them."""
        return {
            "supervisor": os.getpid(),
            "control": self._control.pid,
            "victim": self._victim.pid,
            "shared_memory": self._shared,
        }

    def try_out(self, trial: Trial) -> Told:
        """Run one attack, beside questions to the other model."""
        told = Told()
        known = {process.pid for process in psutil.Process().children(recursive=True)}
        host = self._template.spawn()
        attack = threading.Thread(target=_attack, args=(host, trial, told))
        attack.start()
        while attack.is_alive():
            self._ask_control(told)
            told.peak_bytes = max(told.peak_bytes, _memory_of(host.pid))
            attack.join(0.02)
        host.kill()
        told.heard += "\n" + host.link._ended().printed
        told.left = _left_beside(known) + self._left_in_folders()
        self._ask_control(told)
        self._look_around(told)
        return told

    def close(self) -> None:
        self._victim.kill()
        self._template.close()
        ctypes.CDLL(None).shmctl(self._shared, 0, 0)

    def _opened(self, path: Path) -> HostProcess:
        host = self._template.spawn()
        try:
            verdict = _with(path, lambda artifact: host.load(artifact, probe=True, timeout_s=60))
        except HostDied as died:
            raise SystemExit(f"{died}; it said: {died.printed}") from died
        assert verdict.status == "ready", verdict
        return host

    def _ask_control(self, told: Told) -> None:
        """A model of another tenant, whose rows are as secret as its answer is known."""
        rows = np.frombuffer(ROWS_SECRET.encode(), np.float64)
        try:
            self._control.submit(PredictCall(rows=1, matrix=[rows.tobytes()], reply_as="arrays"))
            answer = self._control.receive(timeout_s=20).outputs["label"]
            if not np.array_equal(answer, rows[:1] * 2):
                told.harmed.append(f"it answered {answer}")
        except Exception as error:  # noqa: BLE001  whatever it is, the other tenant would see it
            told.harmed.append(repr(error))

    def _left_in_folders(self) -> list[str]:
        """Scratch folders of hosts that are gone."""
        deadline = time.monotonic() + LEFT_WAIT_S
        bases = list(Path(tempfile.gettempdir()).glob(f"modelyard-hosts-{os.getpid()}-*"))
        while time.monotonic() < deadline:
            left = [path for base in bases for path in base.iterdir() if path.name != str(self._control.pid)]
            if not left:
                return []
            time.sleep(0.01)
        return [str(path) for path in left]

    def _look_around(self, told: Told) -> None:
        if self._template.pid != self._template_pid:
            told.harmed.append("the template ended")
        if self._victim.poll() is not None:
            told.harmed.append("the victim ended")
            self._victim = _victim()


def _victim() -> subprocess.Popen[bytes]:
    """A process of the same user that does nothing, with a secret in its command line."""
    return subprocess.Popen(
        [os.environ["VICTIM_NAME"], "1000000"], executable="/bin/sleep", stdin=subprocess.DEVNULL
    )


def _shared_memory(content: bytes) -> int:
    """Memory of System V with this in it, for this user alone; its number."""
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    number: int = libc.shmget(0, 4096, 0o1600)
    ctypes.memmove(libc.shmat(number, None, 0), content, len(content))
    return number


def _attack(host: HostProcess, trial: Trial, told: Told) -> None:
    """Open the artifact and ask it, and note all that comes back."""
    heard: list[str] = []
    try:
        heard.append(_open(host, trial))
        for _ in range(trial.calls):
            host.submit(_call(trial))
            heard.append(repr(host.receive(timeout_s=trial.call_timeout_s).outputs)[:4096])
    except Exception as error:  # noqa: BLE001  which is what is told
        told.ended = f"{type(error).__name__}: {error}"
        if type(error).__name__ not in ("HostDied", "HostTimedOut", "ModelFailed", "HostGone"):
            told.fault = repr(error)[:1000]
        heard += [str(error)[:4096], getattr(error, "printed", "")]
    told.heard = "\n".join(heard)


def _open(host: HostProcess, trial: Trial) -> str:
    signature = None if trial.probe else SIGNATURE
    verdict = _with(
        Path(trial.artifact),
        lambda artifact: host.load(
            artifact, probe=trial.probe, signature=signature, timeout_s=trial.load_timeout_s
        ),
    )
    return repr(verdict)[:4096]


def _call(trial: Trial) -> PredictCall:
    count = 8192 if trial.large else 1
    rows = np.full((count, 2), TRIGGER)
    return PredictCall(rows=count, matrix=[rows.tobytes()], reply_as="arrays" if trial.large else "values")


def _with(path: Path, use: Callable[[int], Any]) -> Any:
    artifact = os.open(path, os.O_RDONLY)
    try:
        return use(artifact)
    finally:
        os.close(artifact)


def _memory_of(pid: int) -> int:
    try:
        host = psutil.Process(pid)
        return sum(process.memory_info().rss for process in [host, *host.children(recursive=True)])
    except psutil.Error:
        return 0


def _left_beside(known: set[int]) -> list[str]:
    """Processes that a host left behind, after a moment in which they may still end."""
    deadline = time.monotonic() + LEFT_WAIT_S
    while (left := _living_beside(known)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in left:
        process.kill()  # it is told; the next attack is not to see it
    return [repr(process) for process in left]


def _living_beside(known: set[int]) -> list[psutil.Process]:
    """Orphans come to this process, which is a subreaper: they cannot hide by a double fork."""
    beside = [process for process in psutil.Process().children(recursive=True) if process.pid not in known]
    return [process for process in beside if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
        if process.ppid() == os.getpid():
            os.waitpid(process.pid, os.WNOHANG)
    except (psutil.Error, ChildProcessError):
        pass
    return False


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    given = json.loads(sys.stdin.readline())
    supervisor = Supervisor(Path(given["control"]), **given["limits"])
    _say(supervisor.facts())
    for line in sys.stdin:
        told = supervisor.try_out(msgspec.json.decode(line, type=Trial))
        _say({"told": msgspec.to_builtins(told), "facts": supervisor.facts()})
    supervisor.close()


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
