"""HTTP load by wrk: closed loop, each connection sends its next request when it has its answer."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

_SCRIPT = Path(__file__).with_name("wrk.lua")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something to load: where, with what, one body a line."""

    url: str
    bodies: Path
    headers: Mapping[str, str] = {}


class Load(msgspec.Struct, frozen=True):
    """What a burst of load came to.

    Attributes:
        refused: answers of status 400 and more, which are among the `requests`.
        broken: connections that failed, and requests without an answer.
    """

    requests: int
    duration_s: float
    median_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def requests_per_s(self) -> float:
        """Requests a second that were answered as wanted."""
        return (self.requests - self.refused) / self.duration_s

    @property
    def errors(self) -> int:
        """All that was not answered as wanted."""
        return self.refused + self.broken


def check_wrk() -> None:
    """End the program with a clear line where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed for load: `apt install wrk`, or `brew install wrk`")


def load(target: Target, *, connections: int, seconds: float, pause_ms: int = 0) -> Load:
    """Post the bodies in turn over that many connections for that long.

    Args:
        pause_ms: that each connection makes before each request.
    """
    command = _command(target, connections=connections, seconds=seconds, pause_ms=pause_ms)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"wrk failed: {done.stderr or done.stdout}")
    return _result(done.stdout)


class Flood:
    """Load that goes on in the background; `result` is there once it has ended."""

    result: Load


@contextmanager
def flood(target: Target, *, connections: int, seconds: float) -> Iterator[Flood]:
    """Load `target` while the block runs, for at most that long. The block should end later than the load."""
    command = _command(target, connections=connections, seconds=seconds)
    flood = Flood()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        try:
            yield flood
            process.wait(timeout=seconds + 30)
        finally:
            process.kill()
            process.wait()
        printed.seek(0)
        flood.result = _result(printed.read())


def _command(target: Target, *, connections: int, seconds: float, pause_ms: int = 0) -> list[str]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    command += [target.url, "--", str(target.bodies), str(pause_ms)]
    return command + [f"{name}={value}" for name, value in target.headers.items()]


def _result(printed: str) -> Load:
    lines = printed.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise SystemExit(f"wrk failed: {printed}")
    return msgspec.json.decode(lines[-1], type=Load)
