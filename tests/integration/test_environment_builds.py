"""Environments are built by uv out of real wheels; small ones stand for the large where they can."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import cloudpickle
import msgspec
import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn.dummy import DummyClassifier

from shared.catalog.verdict import Contents, Verdict
from workers.environments.build import Builder
from workers.environments.environments import Environments
from workers.environments.errors import EnvironmentUnavailable
from workers.environments.folder import EnvironmentFolder
from workers.environments.lock import EnvironmentLock, resolve
from workers.environments.request import EnvironmentRequest
from workers.environments.uv import Uv, UvFailed
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess

ROOT = Path(__file__).parents[2]
WAIT_S = 300.0
WIDE = 1 << 40

# What a worker does, in a process of its own: build what the lock says, and tell.
BUILD = """
import os, sys
from pathlib import Path
import msgspec
from workers.environments.build import Builder
from workers.environments.folder import EnvironmentFolder
from workers.environments.lock import EnvironmentLock
from workers.environments.uv import Uv

folder = EnvironmentFolder(Path(sys.argv[1]))
uv = Uv(os.environ, home=folder.home, wheels=None, offline=False)
lock = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=EnvironmentLock)
held = Builder(folder, uv, timeout_s=300, max_bytes=1 << 40).ensure(lock.id, lock)
print("holds", held.folder, flush=True)
"""


@pytest.fixture
def folder(tmp_path) -> EnvironmentFolder:
    return EnvironmentFolder(tmp_path / "environments")


@pytest.fixture
def uv(folder) -> Uv:
    return Uv(os.environ, home=folder.home, wheels=None, offline=False)


@pytest.fixture
def builder(folder, uv) -> Builder:
    return Builder(folder, uv, timeout_s=WAIT_S, max_bytes=WIDE)


def locked(uv: Uv, *requirements: str) -> EnvironmentLock:
    request = EnvironmentRequest(known=list(requirements))
    return resolve(uv, request, offered={}, timeout_s=WAIT_S)


def worker(folder: EnvironmentFolder, lock: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", BUILD, str(folder.path), str(lock)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)


def test_two_workers_that_need_the_same_build_it_once(folder, uv, tmp_path):
    lock = locked(uv, "humanize==4.9.0")
    (tmp_path / "lock").write_bytes(msgspec.json.encode(lock))

    workers = [worker(folder, tmp_path / "lock") for _ in range(2)]
    said = b"".join(one.communicate(timeout=WAIT_S)[0] for one in workers)

    assert said.count(b"environment built") == 1
    assert said.count(b"holds " + bytes(folder.path / lock.id)) == 2


def test_a_build_that_is_killed_leaves_nothing_half(folder, uv, builder, tmp_path):
    lock = locked(uv, "humanize==4.9.0")
    (tmp_path / "lock").write_bytes(msgspec.json.encode(lock))
    killed = worker(folder, tmp_path / "lock")
    while not list(folder.path.glob("*.building")):
        assert killed.poll() is None
        time.sleep(0.001)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    assert folder.hold(lock.id) is None
    held = builder.ensure(lock.id, lock)

    assert (held.folder / "bin" / "python").exists()
    assert list(folder.path.glob("*.building")) == []
    held.release()


def test_an_environment_that_is_broken_is_built_again(folder, uv, builder):
    lock = locked(uv, "humanize==4.9.0")
    builder.ensure(lock.id, lock).release()
    (package,) = (folder.path / lock.id).glob("lib/*/site-packages/humanize")
    (package / "__init__.py").unlink()

    held = builder.ensure(lock.id, lock, anew=True)

    assert (package / "__init__.py").exists()
    held.release()


def test_what_was_used_longest_ago_makes_room_unless_it_is_in_use(folder, uv):
    builder = Builder(folder, uv, timeout_s=WAIT_S, max_bytes=1)
    unwatched = Builder(folder, uv, timeout_s=WAIT_S, max_bytes=WIDE)
    locks = [locked(uv, f"humanize==4.{minor}.0") for minor in (7, 8, 9)]
    unused, used = (unwatched.ensure(lock.id, lock) for lock in locks[:2])
    unused.release()

    builder._make_room(but=locks[2].id)

    assert folder.hold(locks[0].id) is None
    assert used.python.exists()
    used.release()


def test_wheels_in_a_folder_are_enough_without_an_index(folder, tmp_path):
    wheels = tmp_path / "wheels"
    command = ["-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), "humanize==4.9.0"]
    subprocess.run([sys.executable, *command], check=True, stderr=subprocess.DEVNULL)
    offline = Uv({}, home=folder.home, wheels=wheels, offline=True)

    lock = locked(offline, "humanize")
    held = Builder(folder, offline, timeout_s=WAIT_S, max_bytes=WIDE).ensure(lock.id, lock)

    assert lock.versions() == {"humanize": Version("4.9.0")}
    assert list(held.folder.glob("lib/*/site-packages/humanize"))
    held.release()


def test_nothing_that_is_installed_runs_when_python_starts(folder, tmp_path):
    """A template has all rights of its worker until its own first line."""
    mark, wheels = tmp_path / "it_ran", tmp_path / "wheels"
    wheels.mkdir()
    info = "eager-1.0.dist-info"
    with zipfile.ZipFile(wheels / "eager-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("eager.py", "")
        wheel.writestr("eager.pth", f"import os; os.mkdir({str(mark)!r})\n")
        wheel.writestr("sitecustomize.py", f"import os; os.mkdir({str(mark)!r})\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: eager\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    offline = Uv({}, home=folder.home, wheels=wheels, offline=True)
    lock = locked(offline, "eager")

    held = Builder(folder, offline, timeout_s=WAIT_S, max_bytes=WIDE).ensure(lock.id, lock)
    subprocess.run([held.python, "-I", "-c", "import eager"], check=True)

    assert not mark.exists()
    held.release()


def test_without_an_index_what_is_not_there_is_named(folder):
    offline = Uv({}, home=folder.home, wheels=None, offline=True)

    with pytest.raises(UvFailed, match="humanize was not found"):
        locked(offline, "humanize==4.9.0")


@pytest.fixture
def environments(storage, settings):
    environments = Environments(settings, storage, os.environ)
    yield environments
    environments.close()


def contents(*requirements: str, **needs: str | None) -> Contents:
    named = {name.replace("_", "-"): version for name, version in needs.items()}
    return Contents(format="pickle", runtime="sklearn", needs=named, requirements=list(requirements))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (contents("no-such-distribution-anywhere==1"), "no-such-distribution-anywhere was not found"),
        (contents("humanize==99.0"), "no version of humanize==99.0"),
        (contents("lightgbm==0.0.1"), "lightgbm==0.0.1"),
        (contents(acme_models=None), "acme-models, which is not installed for a file's sake"),
        (contents("humanize==4.9.0", "humanize==4.8.0"), "humanize"),
        (contents("-r other.txt"), "option, which is not taken: -r."),
    ],
)
async def test_what_cannot_be_had_is_said_with_what_to_do(environments, found, said):
    with pytest.raises(EnvironmentUnavailable) as refusal:
        await environments.environment_for(found)

    assert said in refusal.value.reason.message
    assert refusal.value.reason.remedy


async def test_another_scikit_learn_that_cannot_be_had_is_served_by_ours_with_a_warning(environments):
    chosen = await environments.environment_for(contents(scikit_learn="0.24.2"))

    assert chosen.environment.id is None
    assert "scikit-learn 0.24.2" in chosen.warnings[0]


async def test_another_version_of_a_library_stands_in_with_a_warning(environments):
    chosen = await environments.environment_for(contents(scikit_learn="1.5.2", lightgbm="0.0.1"))

    assert chosen.environment.packages["scikit-learn"] == "1.5.2"
    assert Version(chosen.environment.packages["lightgbm"]) > Version("4")
    assert "lightgbm 0.0.1" in chosen.warnings[0]


class Sizes:
    """A model whose library only its owner vouches for."""

    def predict(self, rows):
        import humanize  # noqa: PLC0415  where it is used, as in its owner's script

        return np.array([humanize.naturalsize(row[0]) for row in np.asarray(rows)])


def pickled(model: object, path: Path) -> Path:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    path.write_bytes(cloudpickle.dumps(model))
    return path


async def test_what_its_owner_lists_is_there_for_the_model_and_not_for_its_template(
    environments, templates, tmp_path
):
    chosen = await environments.environment_for(contents("humanize==4.9.0"))
    host = await templates.spawn(chosen.environment)
    sample = tmp_path / "sample.csv"
    sample.write_text("bytes\n1000\n")

    verdict = await asyncio.to_thread(opened, host, pickled(Sizes(), tmp_path / "model.pkl"), sample)
    held = await environments.get(chosen.environment.id)
    by_template = await asyncio.to_thread(imported, held.python, "humanize")

    assert verdict.status == "ready", verdict.reason
    assert chosen.environment.packages["humanize"] == "4.9.0"
    host.submit(PredictCall(rows=1, columns=[[2_000_000]]))
    assert host.receive(timeout_s=30).outputs["label"] == ["2.0 MB"]
    assert b"No module named 'humanize'" in by_template
    held.release()
    host.kill()


def imported(python: Path, module: str) -> bytes:
    """What the interpreter says where it is to import the module."""
    command = [str(python), "-I", "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).stderr


def opened(host: HostProcess, model: Path, sample: Path) -> Verdict:
    artifact, rows = os.open(model, os.O_RDONLY), os.open(sample, os.O_RDONLY)
    try:
        return host.load(artifact, sample=rows, probe=True, timeout_s=60)
    finally:
        os.close(artifact)
        os.close(rows)


async def test_an_environment_in_which_nothing_starts_is_built_again(environments, templates):
    chosen = await environments.environment_for(contents("humanize==4.8.0"))
    held = await environments.get(chosen.environment.id)
    (broken,) = held.folder.glob("lib/*/site-packages/joblib/__init__.py")
    held.release()
    broken.unlink()

    host = await templates.spawn(chosen.environment)

    assert broken.exists()
    host.kill()


async def test_a_worker_that_ends_in_the_midst_of_a_build_leaves_it_to_another(
    predict_workers, uploads, tmp_path
):
    model = DummyClassifier(strategy="prior").fit([[0.0], [1.0]], [0, 1])
    older = pickle.dumps(model).replace(sklearn.__version__.encode(), b"1.3.2")
    folder = str(tmp_path / "fresh")
    ending = await predict_workers.start(environments_dir=folder)
    version_id = await uploads.leave("older", older)
    await ending.wait_for_log("building environment")

    ending.popen.terminate()
    await ending.wait_until_ended(timeout_s=30)
    waiting = await uploads.row(version_id)
    await predict_workers.start(environments_dir=folder)
    version = await uploads.verdict(version_id, within_s=WAIT_S)

    assert waiting.status == "validating"
    assert waiting.lease_until is None
    assert version.verdict["environment"]["packages"]["scikit-learn"] == "1.3.2"
    assert version.status == "ready", version.verdict
