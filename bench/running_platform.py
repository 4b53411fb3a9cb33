"""The platform as `make run` starts it, with its data in a folder that goes away, and an account on it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
START_LIMIT_S = 120


class Platform:
    """A running platform. `client` speaks for a user of its own."""

    def __init__(self, url: str, *, launcher_pid: int) -> None:
        self.url, self.launcher_pid = url, launcher_pid
        self.client = httpx.Client(base_url=f"{url}/api/v1", timeout=600)

    def log_in(self) -> None:
        """Make an account, and send its token from here on."""
        account = {"email": "bench@example.com", "password": "known to everybody"}
        answered(self.client.post("/auth/register", json=account))
        token = answered(self.client.post("/auth/login", json=account))["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def upload(self, model: Path, *, name: str) -> dict:
        """The model's description, once it is ready to serve."""
        with model.open("rb") as file:
            answer = self.client.post("/models/upload", files={"file": file}, data={"name": name})
        uploaded = answered(answer)
        if uploaded["version"]["status"] != "ready":
            raise SystemExit(f"the model was not taken: {uploaded['version']['reason']}")
        return uploaded


def answered(answer: httpx.Response) -> dict:
    """What was answered; ends the program where that is an error."""
    if not answer.is_success:
        raise SystemExit(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer.json()


@contextmanager
def running_platform(**settings: str) -> Iterator[Platform]:
    """A platform on a free port. Settings are variables of `.env.example`, in lower case."""
    port = free_port()
    given = {"PORT": str(port), **{name.upper(): value for name, value in settings.items()}}
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user
        log = Path(folder) / "platform.log"
        process = _launch(Path(folder) / "data", log, given)
        try:
            platform = Platform(f"http://127.0.0.1:{port}", launcher_pid=process.pid)
            _wait_until_ready(process, log)
            platform.log_in()
            yield platform
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
