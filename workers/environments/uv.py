"""Runs uv: with nothing of this process's environment but what leads to the index, for a limited time."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.errors import OperatorError, TransientError
from shared.leash import leashed

# What an operator may set to say where packages come from; PIP_ names stand in where uv's own are not set.
_PASSED_ON = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS"
    r"|SYSTEM_CERTS|NATIVE_TLS|INSECURE_HOST|HTTP_TIMEOUT|HTTP_RETRIES|KEYRING_PROVIDER|TORCH_BACKEND"
    r"|EXCLUDE_NEWER|CONCURRENT_\w+)"
    r"|SSL_CERT_(FILE|DIR)|SSL_CLIENT_CERT|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)
_FROM_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL",
    "PIP_CERT": "SSL_CERT_FILE",
}
_OWN_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_TORCH_BACKEND")
_PROGRAM_PATH = "/usr/local/bin:/usr/bin:/bin"
_NICENESS = 10
_LOOK_PAUSE_S = 0.1
_WATCH_PAUSE_S = 2.0
_TOLD_CHARACTERS = 600
_WITH_PATH = re.compile(r"\S*(?:[a-z]+://|/[\w.@+-]+/)\S*")


class UvMissing(OperatorError):
    """There is no uv beside this Python, nor on the way to programs."""

    code = "uv_missing"


class UvStopped(TransientError):
    """This worker is about to end, and builds nothing more: another one will."""

    code = "worker_stopping"


class UvFailed(Exception):
    """Uv ended without success. The text is the end of what it said, without addresses and paths."""


class Uv:
    """One way to call uv.

    Args:
        environment: of this process.
        home: a folder of its own, where it keeps what it downloaded.
        wheels: a folder of wheels beside the index.
        offline: take nothing from the index.
    """

    def __init__(
        self, environment: Mapping[str, str], *, home: Path, wheels: Path | None, offline: bool
    ) -> None:
        self.variables = _variables(environment, home)
        self._home, self._wheels, self._offline = home, wheels, offline
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End what runs, and run nothing more."""
        self._stopping.set()

    def go_on(self) -> None:
        """Raises UvStopped: no more is to be done."""
        if self._stopping.is_set():
            raise UvStopped("this worker is about to end")

    def forget_downloads(self, *, timeout_s: float) -> None:
        """Remove what was downloaded, unless it is kept where others keep theirs."""
        if Path(self.variables["UV_CACHE_DIR"]).is_relative_to(self._home):
            self.run("cache", "clean", timeout_s=timeout_s)

    @property
    def leads_elsewhere(self) -> bool:
        """Whether the operator has said where packages come from, or that they come from nowhere."""
        return self._offline or any(name in self.variables for name in _OWN_INDEX)

    def pip(self, *arguments: str, timeout_s: float, watch: Callable[[], None] = lambda: None) -> str:
        """What `uv pip` prints.

        Args:
            watch: called every few seconds; what it raises ends uv.

        Raises:
            UvFailed: it did not succeed, or not in time.
            UvStopped: this worker is about to end.
        """
        return self.run("pip", *arguments, *self._sources(), timeout_s=timeout_s, watch=watch)

    def run(self, *arguments: str, timeout_s: float, watch: Callable[[], None] = lambda: None) -> str:
        """What uv prints; see `pip`."""
        self._home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603  its words were checked where they came from
                leashed(
                    [executable(), *arguments, "--quiet", "--no-progress", "--color", "never"],
                    signal=signal.SIGKILL,  # or it would go on to fill a folder that others remove
                ),
                env=self.variables,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
            try:
                status = self._wait(process, timeout_s, watch)
            finally:
                _end(process)
            if status != 0:
                errors.seek(0)
                raise UvFailed(_told(errors.read()))
            output.seek(0)
            return output.read().decode()

    def _wait(self, process: "subprocess.Popen[bytes]", timeout_s: float, watch: Callable[[], None]) -> int:
        deadline, look_at = time.monotonic() + timeout_s, time.monotonic() + _WATCH_PAUSE_S
        while True:
            self.go_on()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_PAUSE_S)
            if time.monotonic() > deadline:
                raise UvFailed(f"it took longer than {timeout_s:g} s")
            if time.monotonic() > look_at:
                watch()
                look_at = time.monotonic() + _WATCH_PAUSE_S

    def _sources(self) -> list[str]:
        links = ["--find-links", str(self._wheels)] if self._wheels is not None else []
        return [*links, "--offline"] if self._offline else links


def executable() -> str:
    """Where uv is: beside this Python, or on the way to programs.

    Raises:
        UvMissing: nowhere.
    """
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}:{_PROGRAM_PATH}")
    if found is None:
        raise UvMissing("uv is not installed: put it beside Python, or where programs are")
    return found


def _variables(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    from_pip = {ours: environment[pip] for pip, ours in _FROM_PIP.items() if environment.get(pip)}
    passed = {name: value for name, value in environment.items() if value and _PASSED_ON.fullmatch(name)}
    return (
        from_pip
        | passed
        | {
            "PATH": _PROGRAM_PATH,
            "HOME": str(home),
            "UV_CACHE_DIR": environment.get("UV_CACHE_DIR") or str(home / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "LC_ALL": "C.UTF-8",
        }
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """What it started ends with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _told(errors: bytes) -> str:
    """The end of what uv said, before its hints, on one line."""
    text = errors.decode(errors="replace").partition("\nhint:")[0]
    text = " ".join(text.replace("cause:", "").split()).removeprefix("error: ")
    return _WITH_PATH.sub("(address)", text)[-_TOLD_CHARACTERS:] or "it said nothing"
