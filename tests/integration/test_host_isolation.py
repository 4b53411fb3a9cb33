"""What a host has, and what it has not."""

import os
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.neighbors import KNeighborsRegressor

from tests.fixtures import misbehaving, running
from tests.fixtures.models import load
from workers.hosting.call import PredictCall
from workers.hosting.errors import HostDied, ModelFailed

MIB = 1024 * 1024

GIVEN = {
    "ARROW_DEFAULT_MEMORY_POOL",
    "JE_ARROW_MALLOC_CONF",
    "LC_ALL",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ORT_DISABLE_TELEMETRY",
}
CAP_SYS_PTRACE = 1 << 19


def capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)


as_root = pytest.mark.skipif(not capabilities() & CAP_SYS_PTRACE, reason="a host lets nobody look into it")


@as_root
def test_a_host_finds_nothing_in_its_environment(open_model, iris_on_frame, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "known to the worker only")

    host, _ = open_model(iris_on_frame)

    environment = Path(f"/proc/{host.pid}/environ").read_bytes().split(b"\0")
    names = {pair.partition(b"=")[0].decode() for pair in environment if pair}
    assert names == GIVEN


def test_a_model_finds_nothing_in_its_environment(open_model, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "known to the worker only")
    host, _ = open_model(misbehaving.saved(misbehaving.Misbehaving(), tmp_path / "model.pkl"))
    row = np.array([misbehaving.number_of("tell_environment"), 0.0])

    host.submit(PredictCall(rows=1, matrix=[row.tobytes()]))

    with pytest.raises(ModelFailed) as told:
        host.receive(timeout_s=30)
    names = set(str(told.value).removeprefix("ValueError: ").split())
    by_sklearn = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}  # set by its import
    by_cell = {"TMPDIR", "HOME"}  # both are its scratch folder
    assert names - by_sklearn - by_cell == GIVEN


@as_root
def test_a_host_holds_its_own_descriptors_and_no_other(open_model, iris_on_frame, regressor):
    others = [open_model(regressor)[0] for _ in range(3)]

    host, _ = open_model(iris_on_frame)

    held = [str(path.readlink()) for path in Path(f"/proc/{host.pid}/fd").iterdir()]
    kinds = sorted(name.split(":")[0] for name in held if not name.endswith(".joblib"))
    own = f"/proc/{host.pid}/cmdline"  # what it may read of itself
    assert kinds == sorted(["/dev/null", own, "pipe", "pipe", "socket"])
    assert len(others) == 3


def test_a_host_is_confined_as_far_as_it_costs_nothing(open_model, iris_on_frame):
    host, _ = open_model(iris_on_frame)
    status = Path(f"/proc/{host.pid}/status").read_text()

    assert "NoNewPrivs:\t1" in status
    assert os.getsid(host.pid) == host.pid
    assert Path(f"/proc/{host.pid}/oom_score_adj").read_text().strip() == "1000"


@as_root
def test_a_host_writes_no_core_and_opens_few_files(open_model, iris_on_frame):
    host, _ = open_model(iris_on_frame)

    lines = Path(f"/proc/{host.pid}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == [str(2048 * MIB)] * 2  # in its scratch folder
    assert limits["Max open files"] == ["64", "64"]


def test_a_template_has_one_thread_so_that_its_forks_are_whole(host_template):
    assert psutil.Process(host_template.pid).num_threads() == 1


def test_hosts_share_the_libraries_with_their_template(open_model, regressor):
    _, verdict = open_model(regressor)

    hosts = [open_model(regressor, probe=False, signature=verdict.signature)[0] for _ in range(5)]

    assert psutil.Process(hosts[0].pid).memory_info().rss > 60 * MIB
    assert max(host.memory_bytes() for host in hosts) < 20 * MIB


def test_a_large_model_shows_in_the_memory_of_its_host(host_template, training, tmp_path):
    X = np.random.default_rng(0).normal(size=(100_000, 50))  # 40 MB
    model = KNeighborsRegressor(algorithm="brute").fit(X, X[:, 0])
    host = host_template.spawn()

    verdict = load(host, training.saved(model, tmp_path / "large.joblib"))

    assert 35 * MIB < verdict.memory_bytes < 200 * MIB
    assert host.memory_bytes() > 35 * MIB
    host.kill()
    assert host.memory_bytes() == 0


# Looks through the heap for what begins like a secret: from where an object lies down to where memory ends.
LOOKS_THROUGH_ITS_HEAP = r"""
import ctypes, os, re
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
end = libc.sbrk(0)
start = end & ~4095
while libc.write(1, ctypes.c_void_p(start - 4096), 1) == 1:
    start -= 4096
told = f"{end - start} bytes: {re.findall(rb'secret.[0-9a-f]{32}', ctypes.string_at(start, end - start))}"
"""


def test_what_a_model_prints_is_not_in_the_memory_of_the_next(host_template, tmp_path):
    token = os.urandom(16).hex()
    code = f"import os; print('secret-' + '{token}'); os._exit(3)"
    printing = running.saved(code, tmp_path / "printing.pkl")
    looking = running.saved(LOOKS_THROUGH_ITS_HEAP, tmp_path / "looking.pkl")

    for _ in range(8):
        with pytest.raises(HostDied) as death:
            ask(host_template, printing)
        assert token in death.value.printed
    with pytest.raises(ModelFailed) as looked:
        ask(host_template, looking)

    size, found = re.search(r"(\d+) bytes: (.*)", str(looked.value)).groups()
    assert int(size) > MIB
    assert found == "[]"


def test_what_is_asked_for_while_a_model_runs_is_not_in_the_memory_of_the_next(host_template, tmp_path):
    """Batch workers ask again and again, for the log of a job."""
    token = os.urandom(16).hex()
    printing = running.saved(f"print('secret-' + '{token}')", tmp_path / "printing.pkl")
    looking = running.saved(LOOKS_THROUGH_ITS_HEAP, tmp_path / "looking.pkl")
    host = host_template.spawn()
    load(host, printing)

    for _ in range(8):
        host.submit(PredictCall(rows=1, matrix=[np.array([[running.NOW]]).tobytes()]))
        with pytest.raises(ModelFailed):
            host.receive(timeout_s=30)
        assert token in host.link.take_printed().text.decode()
    with pytest.raises(ModelFailed) as looked:
        ask(host_template, looking)

    host.kill()
    assert str(looked.value).endswith(": []")


def ask(host_template, path: Path) -> None:
    """Have a model in a host of its own do what it was made for."""
    host = host_template.spawn()
    try:
        load(host, path)
        host.submit(PredictCall(rows=1, matrix=[np.array([[running.NOW]]).tobytes()]))
        host.receive(timeout_s=30)
    finally:
        host.kill()
