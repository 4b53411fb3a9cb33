"""Models and processes that go wrong: told, ended, and no harm to others."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.fixtures import misbehaving
from tests.fixtures.misbehaving import Misbehaving, Wrong, number_of
from tests.fixtures.models import load
from workers.hosting.call import PredictCall
from workers.hosting.ending import rejection_of
from workers.hosting.errors import HostDied, HostTimedOut, ModelFailed
from workers.hosting.template import HostTemplate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def misbehaving_model(model_folder) -> Path:
    return misbehaving.saved(Misbehaving(), model_folder / "misbehaving.pkl")


@pytest.fixture
def host(open_model, misbehaving_model):
    host, verdict = open_model(misbehaving_model)
    assert verdict.status == "ready", verdict.reason
    return host


def ask(host, deed: str = "", *, timeout_s: float = 30):
    row = np.array([[number_of(deed), 1.0]])
    host.submit(PredictCall(rows=1, matrix=[row.tobytes()]))
    return host.receive(timeout_s=timeout_s).outputs["label"]


def wait_for(condition, timeout_s: float = 10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_a_model_that_hangs_is_ended_at_its_deadline(host):
    started = time.monotonic()

    with pytest.raises(HostTimedOut, match=r"within 0\.3 s"):
        ask(host, "sleep", timeout_s=0.3)

    assert time.monotonic() - started < 2
    wait_for(lambda: not psutil.pid_exists(host.pid))


def test_a_dead_host_says_so_again(host):
    with pytest.raises(HostTimedOut):
        ask(host, "sleep", timeout_s=0.1)

    with pytest.raises(HostTimedOut):
        ask(host)


def test_a_host_killed_in_the_middle_of_a_call_is_told(host):
    threading.Timer(0.3, os.kill, (host.pid, signal.SIGKILL)).start()

    with pytest.raises(HostDied, match="SIGKILL") as died:
        ask(host, "sleep")

    assert died.value.out_of_memory  # nobody can tell who sent it; the kernel is the usual one


@pytest.mark.parametrize(
    ("deed", "how"), [("exit", "exited with status 3"), ("crash", "crashed (SIGSEGV)")]
)  # fmt: skip
def test_a_host_that_ends_says_how(host, deed, how):
    with pytest.raises(HostDied) as died:
        ask(host, deed)

    assert died.value.how == how
    assert not died.value.out_of_memory


def test_a_model_may_print_ten_megabytes(host):
    assert ask(host, "print_ten_megabytes") == [number_of("print_ten_megabytes") + 1]
    assert ask(host) == [1.0]


def test_the_end_of_what_a_model_printed_is_kept(host):
    ask(host, "print_ten_megabytes")

    with pytest.raises(HostDied) as died:
        ask(host, "exit")

    assert died.value.printed.endswith("x\nthe end\n")
    assert len(died.value.printed) <= 16 * 1024


def test_a_model_that_calls_sys_exit_lives_on(host):
    with pytest.raises(ModelFailed, match="tried to end its process"):
        ask(host, "sys_exit")

    assert ask(host) == [1.0]


def test_an_error_of_a_model_carries_no_path_and_no_control_character(host):
    with pytest.raises(ModelFailed) as failed:
        ask(host, "leak")

    assert str(failed.value).startswith("ValueError: no such row in (path)")
    assert "/" not in str(failed.value)
    assert "\x1b" not in str(failed.value)


def test_memory_that_runs_out_inside_python_is_an_error_of_the_model(host):
    with pytest.raises(ModelFailed, match="ran out of memory"):
        ask(host, "eat_memory")

    assert ask(host) == [1.0]


@pytest.mark.parametrize("deed", ["forge", "forge_length", "write_to_every_descriptor"])
def test_a_host_that_speaks_nonsense_is_ended(host, deed):
    with pytest.raises(HostDied, match="was stopped"):
        ask(host, deed)

    wait_for(lambda: not psutil.pid_exists(host.pid))


def test_a_host_can_start_no_process(host):
    with pytest.raises(ModelFailed, match="PermissionError"):
        ask(host, "spawn_child")

    assert psutil.Process(host.pid).children() == []
    assert ask(host) == [1.0]


@pytest.mark.parametrize(
    ("deed", "code", "says"),
    [
        ("exit", "load_crashed", "exited with status 7"),
        ("crash", "load_crashed", "SIGABRT"),
        ("hang", "load_timed_out", "within 0.5 s"),
    ],
)
def test_an_artifact_that_ends_its_host_is_rejected_with_a_reason(host_template, tmp_path, deed, code, says):
    path = misbehaving.saved(Wrong(deed), tmp_path / "wrong.pkl")

    with pytest.raises((HostDied, HostTimedOut)) as ended:
        load(host_template.spawn(), path, timeout_s=0.5 if deed == "hang" else 60)

    reason = rejection_of(ended.value).reason
    assert reason.code == code
    assert says in reason.message


def test_a_host_that_dies_harms_no_other(open_model, host, iris_on_frame):
    other, _ = open_model(iris_on_frame)

    with pytest.raises(HostDied):
        ask(host, "crash")

    other.submit(PredictCall(rows=1, matrix=[bytes(32)]))
    assert len(other.receive(timeout_s=30).outputs["label"]) == 1


@pytest.fixture
def own_template():
    template = HostTemplate()
    template.start()
    yield template
    template.close()


def test_hosts_end_with_their_template_and_a_new_one_takes_over(own_template, misbehaving_model):
    host = own_template.spawn()
    load(host, misbehaving_model)
    template = own_template.pid

    os.kill(template, signal.SIGKILL)

    with pytest.raises(HostDied):
        ask(host, "sleep")
    wait_for(lambda: not psutil.pid_exists(host.pid))
    again = own_template.spawn()
    load(again, misbehaving_model)
    assert ask(again) == [1.0]
    assert own_template.pid != template


def test_closing_a_template_ends_its_hosts_even_busy_ones(own_template, misbehaving_model):
    host = own_template.spawn()
    load(host, misbehaving_model)
    host.submit(PredictCall(rows=1, matrix=[np.array([number_of("sleep"), 0.0]).tobytes()]))
    template = own_template.pid

    own_template.close()

    wait_for(lambda: not psutil.pid_exists(template) and not psutil.pid_exists(host.pid))


WORKER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from workers.hosting.template import HostTemplate
from workers.hosting.call import PredictCall
template = HostTemplate()
host = template.spawn()
host.load(os.open(sys.argv[2], os.O_RDONLY), probe=True, timeout_s=60)
host.submit(PredictCall(rows=1, matrix=[np.array([float(sys.argv[3]), 0.0]).tobytes()]))
print(template.pid, host.pid, flush=True)
time.sleep(600)
"""


def test_killing_the_worker_leaves_no_template_and_no_host(misbehaving_model):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, ROOT, misbehaving_model, str(number_of("sleep"))],
        stdout=subprocess.PIPE,
    )
    with worker:
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert all(map(psutil.pid_exists, pids))

        worker.kill()

        wait_for(lambda: not any(map(psutil.pid_exists, pids)))
