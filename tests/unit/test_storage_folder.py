"""What is so of a store that is a folder, beside what all stores promise."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from shared.storage.store import Storage

KILLED_IN_THE_MIDDLE = """
import os, signal, sys
from shared.storage.store import Storage
writer = Storage(sys.argv[1]).writer("jobs/1/result.2")
for _ in range(20):
    writer.write(bytes(1024 * 1024))
os.kill(os.getpid(), signal.SIGKILL)
"""


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_a_killed_process_left_half_written_goes_with_what_is_below_the_same_prefix(
    tmp_path: Path,
):
    storage, url = Storage(f"file://{tmp_path}"), f"file://{tmp_path}"
    ended = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, url], check=False)
    (tmp_path / "jobs/10").mkdir()
    (tmp_path / "jobs/10/result.3#7").write_bytes(b"of another job")
    (tmp_path / "jobs/1/result.5#8").write_bytes(b"of a claim of later")
    half_written = names_in(tmp_path / "jobs/1")

    asyncio.run(storage.delete_under("jobs/1", spare=lambda key: key == "jobs/1/result.5"))

    assert ended.returncode == -signal.SIGKILL
    assert len(half_written) == 2
    assert names_in(tmp_path / "jobs/1") == ["result.5#8"]
    assert names_in(tmp_path / "jobs/10") == ["result.3#7"]
