"""What a model can do in its cell, what it cannot, and what happens where there is none."""

import asyncio
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.fixtures.models import load
from tests.fixtures.running import NOW, saved
from workers.hosting.async_host import AsyncHost
from workers.hosting.call import PredictCall
from workers.hosting.errors import HostDied, ModelFailed
from workers.hosting.template import HostTemplate

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
RUN = PredictCall(rows=1, matrix=[np.array([NOW]).tobytes()])


@pytest.fixture
def run(open_model, tmp_path):
    """Runs code as a model; gives what it told."""

    def ran(code: str) -> str:
        path = saved(textwrap.dedent(code), tmp_path / "model.pkl")
        host, verdict = open_model(path)
        assert verdict.status == "ready", verdict.reason
        return told(host)

    return ran


def told(host) -> str:
    host.submit(RUN)
    with pytest.raises(ModelFailed) as failed:
        host.receive(timeout_s=30)
    return str(failed.value).removeprefix("ValueError: ")


def test_nothing_gets_out_of_a_cell(host_template):
    assert host_template.confinement.escapes == []
    assert host_template.confinement.layers.filter
    assert host_template.confinement.layers.landlock


def test_a_model_may_use_threads(run):
    said = run("""
        import threading
        done = []
        threads = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        told = sorted(done)
    """)

    assert said == "[0, 1, 2, 3, 4, 5, 6, 7]"


def test_a_model_may_import_what_is_installed(run):
    assert run("import wave, xml.dom.minidom; told = wave.__name__") == "wave"


def test_a_model_reads_no_file_of_the_platform(run):
    said = run(f"""
        told = []
        for path in ("/etc/passwd", "/proc/1/environ", "/proc/self/maps", "/tmp", {str(ROOT / "Makefile")!r}):
            try:
                open(path).close()
            except OSError as error:
                told.append(type(error).__name__)
    """)

    assert said == str(["PermissionError"] * 5)


def test_a_model_writes_to_its_scratch_folder_and_reads_it_again(run):
    said = run("""
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/inner")
            with open(folder + "/inner/file", "w") as file:
                file.write("kept")
            told = open(folder + "/inner/file").read()
    """)

    assert said == "kept"


def test_a_scratch_folder_ends_with_its_host(run, host_template):
    said = run("import tempfile; told = open(tempfile.mkstemp()[1], 'wb').write(bytes(1000))")

    assert said == "1000"
    # Where it is a file system of the host's own, nobody else has seen it at all.
    assert not list(Path(host_template._base.path).glob("*/*"))


def test_a_model_that_takes_too_much_memory_is_told(tmp_path):
    template = HostTemplate(memory_bytes=256 * MIB)
    path = saved("told = len(bytearray(300 << 20))", tmp_path / "model.pkl")
    try:
        host = template.spawn()
        load(host, path)

        assert told(host) == "the model ran out of memory"
    finally:
        template.close()


def test_memory_that_nobody_counts_cannot_be_had(run):
    said = run("""
        import mmap, os
        told = []
        for attempt in (lambda: mmap.mmap(-1, 4096), lambda: os.memfd_create("x")):
            try:
                attempt()
            except OSError as error:
                told.append(error.errno)
    """)

    assert said == "[1, 1]"


def test_a_forbidden_system_call_ends_the_host_and_is_told(open_model, tmp_path):
    code = "import ctypes; ctypes.CDLL(None).mount(b'a', b'b', b'c', 0, None)"
    host, _ = open_model(saved(code, tmp_path / "model.pkl"))

    host.submit(RUN)

    with pytest.raises(HostDied, match="forbidden system call") as died:
        host.receive(timeout_s=30)
    assert died.value.forbidden_call


async def test_a_host_that_computes_unasked_is_ended(host_template, tmp_path):
    code = "import threading; t = threading.Thread(target=lambda: [0 for _ in iter(int, 1)]); t.start()"
    path = saved(code, tmp_path / "model.pkl")
    host = await AsyncHost.spawn(host_template)
    with path.open("rb") as file:
        await host.load(file.fileno(), probe=True, timeout_s=60)
    with pytest.raises(ModelFailed):
        await host.predict(RUN, timeout_s=30)

    deadline = time.monotonic() + 60
    while (fault := host.watch()) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)

    assert "nobody asks" in fault
    assert "was stopped" in str(await host.died)
    assert not psutil.pid_exists(host.pid)


def on_a_machine_without(calls: str, model: Path, *, sandbox: str = "enforce") -> list[str]:
    """The tier, what became of a model, and what gets out, where the kernel refuses some calls."""
    command = [sys.executable, "-m", "tests.fixtures.refusing", str(model), calls, sandbox]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_cells_hold_where_no_namespace_can_be_had(regressor):
    outcome = on_a_machine_without("unshare,mount", regressor)

    assert outcome[0].split()[1] == "ready"
    assert outcome[1] == "[]"


def test_cells_hold_without_landlock_by_opening_no_file_at_all(regressor):
    outcome = on_a_machine_without("landlock_create_ruleset,unshare", regressor)

    assert outcome[0].startswith("no-files ready")
    assert outcome[1] == "[]"


def test_without_a_filter_models_that_run_code_are_refused(regressor):
    outcome = on_a_machine_without("landlock_create_ruleset,unshare,seccomp", regressor)

    assert outcome[0] == "none rejected sandbox_unavailable"
    assert "read other files" in outcome[1]


def test_without_a_filter_an_operator_may_take_the_risk_and_is_told(regressor):
    outcome = on_a_machine_without("landlock_create_ruleset,unshare,seccomp", regressor, sandbox="warn")

    assert outcome[0].startswith("none ready ")
    assert "no working sandbox" in outcome[0]
