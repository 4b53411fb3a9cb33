"""The platform as `make run` starts it, with its data in a folder that goes away."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from redis import Redis

from bench.processes import ROOT, free_port
from bench.tenant import Tenant
from deploy.local.environment import kept_secrets
from deploy.local.redis import RedisServer

START_LIMIT_S = 120
STOP_LIMIT_S = 60

# What measurements want otherwise than `make run`: few lines to write, and a log-in for the longest of them.
QUIET = {"LOG_LEVEL": "warning", "ACCESS_TOKEN_TTL_S": "86400"}


class Platform:
    """A running platform.

    Attributes:
        folder: where its data are.
    """

    def __init__(self, port: int, folder: Path, *, launcher_pid: int) -> None:
        self.url, self.folder, self.launcher_pid = f"http://127.0.0.1:{port}", folder, launcher_pid

    def tenant(self, name: str = "bench") -> Tenant:
        """A new account."""
        return Tenant(self.url, name)

    def redis(self) -> Redis:
        """A client of its Redis."""
        password = kept_secrets(self.folder / "secrets.json").redis_password
        return Redis.from_url(RedisServer(self.folder / "redis", password=password).url)

    def pids(self) -> dict[str, int]:
        """The process of each entry of the Procfile that runs now, and of both servers."""
        records = json.loads((self.folder / "processes.json").read_text())
        return {record["name"]: record["pid"] for record in records}

    def processes(self) -> dict[int, tuple[str, psutil.Process]]:
        """All that runs, by pid, with its name: the entry's, and where it stands below it."""
        named = {self.launcher_pid: ("launcher", psutil.Process(self.launcher_pid))}
        for name, pid in self.pids().items():
            with suppress(psutil.NoSuchProcess):
                named |= _named_tree(psutil.Process(pid), name)
        return named

    def metrics(self) -> dict[str, float]:
        """The samples of `/metrics`, by name and labels; empty where there is no such page."""
        answer = httpx.get(f"{self.url}/metrics")
        lines = answer.text.splitlines() if answer.is_success else []
        return {name: float(value) for name, _, value in _samples(lines)}


@contextmanager
def running_platform(**settings: str) -> Iterator[Platform]:
    """A platform on a free port. Settings are variables of `.env.example` and FORMATION, in lower case."""
    port = free_port()
    given = QUIET | {"PORT": str(port)} | {name.upper(): value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL may run as another user
        log = folder / "platform.log"
        process = _launch(folder / "data", log, given)
        try:
            _wait_until_ready(process, log)
            yield Platform(port, folder / "data", launcher_pid=process.pid)
        finally:
            _stop(process)


def _named_tree(process: psutil.Process, name: str) -> dict[int, tuple[str, psutil.Process]]:
    named = {process.pid: (name, process)}
    for child in process.children():
        named |= _named_tree(child, f"{name} > {_title(child)}")
    return named


def _title(process: psutil.Process) -> str:
    """What tells it from its siblings at a glance: the module that it runs, or its name."""
    command = process.cmdline()
    return command[command.index("-m") + 1] if "-m" in command else process.name()


def _samples(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    return (line.rpartition(" ") for line in lines if line and not line.startswith("#"))


def _launch(data: Path, log: Path, settings: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local", "--data", str(data)],
        cwd=ROOT,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait_until_ready(process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while "Modelyard is ready" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the platform does not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen) -> None:
    """Ask for the end; where it does not come, the kernel ends all with the launcher."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
