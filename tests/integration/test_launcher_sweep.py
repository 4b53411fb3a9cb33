"""What an earlier run left behind is ended at the next start, and nothing else."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.local.command import ROOT
from deploy.local.process_table import find_process
from deploy.local.records import Record, Records

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# A process that starts another one in its group, tells its number, and stays.
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(600)",
    *SLEEP,
    str(ROOT),
]
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], subprocess.Popen]]:
    started = []

    def start(command: list[str]) -> subprocess.Popen:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "processes.json"


def test_a_process_of_an_earlier_run_is_ended(start, path):
    process = start(SLEEP)
    Records(path).started("predict", process.pid, signal.SIGTERM)

    swept = Records(path).sweep()

    assert swept == ["predict"]
    assert process.wait(timeout=5) == -signal.SIGTERM


def test_a_process_that_does_not_listen_is_killed(start, path):
    process = start([sys.executable, "-c", IGNORES_SIGTERM])
    process.stdout.readline()
    Records(path).started("predict", process.pid, signal.SIGTERM)

    Records(path).sweep(patience_s=0.2)

    assert process.wait(timeout=5) == -signal.SIGKILL


def test_another_program_that_got_the_number_is_left_alone(start, path):
    process = start(SLEEP)
    path.write_bytes(msgspec.json.encode([Record("predict", process.pid, "another time", signal.SIGTERM)]))

    swept = Records(path).sweep()

    assert swept == []
    assert process.poll() is None


def test_what_a_dead_process_had_started_is_ended(start, path):
    parent = start(WITH_CHILD)
    child = int(parent.stdout.readline())
    Records(path).started("predict", parent.pid, signal.SIGTERM)
    parent.kill()
    parent.wait()

    swept = Records(path).sweep()

    assert swept == ["predict"]
    assert find_process(child) is None


def test_a_record_that_was_cut_off_is_no_obstacle(path):
    path.write_text('[{"name": "pred')

    assert Records(path).sweep() == []
