"""HTTP load by wrk."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

_SCRIPT = Path(__file__).with_name("load.lua")


class Load(msgspec.Struct, frozen=True):
    """What a burst of load came to."""

    requests: int
    duration_s: float
    median_ms: float
    p99_ms: float
    errors: int

    @property
    def requests_per_s(self) -> float:
        """Answered requests a second."""
        return self.requests / self.duration_s


def check_wrk() -> None:
    """End the program with a clear line where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed for load: `apt install wrk`, or `brew install wrk`")


def load(url: str, bodies: Path, *, connections: int, seconds: int, headers: Mapping[str, str]) -> Load:
    """Post the bodies (one a line) in turn over that many connections for that long."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url, "--", str(bodies)]
    command += [f"{name}={value}" for name, value in headers.items()]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return msgspec.json.decode(printed.strip().splitlines()[-1], type=Load)
