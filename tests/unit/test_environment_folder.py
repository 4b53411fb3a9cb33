import os
import subprocess
import sys

import pytest

from workers.environments.folder import EnvironmentFolder
from workers.environments.uv import Uv, UvFailed, UvStopped, executable

ID, OTHER = "a" * 32, "b" * 32

# What uv does until somebody ends it, and what it started.
NEVER_ENDING = (
    "run",
    "--no-project",
    "--python",
    sys.executable,
    "--",
    "python",
    "-c",
    "import time; time.sleep(600)",
)


@pytest.fixture
def folder(tmp_path) -> EnvironmentFolder:
    return EnvironmentFolder(tmp_path / "environments")


def build(folder: EnvironmentFolder, environment_id: str = ID) -> None:
    """An environment with one distribution and what passes for a Python."""
    with folder.alone(environment_id, timeout_s=0), folder.unfinished(environment_id) as unfinished:
        (unfinished.path / "bin").mkdir()
        (unfinished.path / "bin" / "python").symlink_to(sys.executable)
        (unfinished.path / "lib" / "humanize-4.9.0.dist-info").mkdir(parents=True)
        (unfinished.path / "lib" / "humanize-4.9.0.dist-info" / "METADATA").touch()
        unfinished.finish()


def test_an_environment_is_there_once_it_is_whole(folder):
    assert folder.hold(ID) is None

    build(folder)

    held = folder.hold(ID)
    assert held is not None
    assert os.access(held.python, os.X_OK)
    held.release()


def test_an_environment_that_was_not_finished_leaves_nothing(folder):
    with folder.alone(ID, timeout_s=0), folder.unfinished(ID) as unfinished:
        (unfinished.path / "half").touch()

    assert folder.hold(ID) is None
    assert list(folder.path.glob("*.building")) == []


def test_what_a_killed_builder_left_goes_with_the_next_build(folder):
    folder.path.mkdir()
    (folder.path / f"{ID}.x.building").mkdir()
    (folder.path / f"{ID}.x.building" / "half").touch()

    build(folder)

    assert list(folder.path.glob("*.building")) == []


@pytest.mark.parametrize("lost", ["bin/python", "lib/humanize-4.9.0.dist-info/METADATA", "distributions.2"])
def test_an_environment_that_lacks_something_is_not_taken(folder, lost):
    build(folder)

    (folder.path / ID / lost).unlink()

    assert folder.hold(ID) is None


def test_nobody_removes_an_environment_that_is_in_use(folder):
    build(folder)
    held = folder.hold(ID)
    assert held is not None

    with pytest.raises(TimeoutError), folder.alone(ID, timeout_s=0):
        pass

    held.release()
    with folder.alone(ID, timeout_s=0):
        folder.remove(ID)
    assert folder.hold(ID) is None
    assert list(folder.path.glob("*.building")) == []


def test_an_environment_is_let_go_when_its_user_is_killed(folder):
    build(folder)
    hold = f"from workers.environments.folder import *; h = EnvironmentFolder(Path({str(folder.path)!r}))"
    program = f"{hold}.hold({ID!r}); print(h is not None, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"True\n"
        with pytest.raises(TimeoutError), folder.alone(ID, timeout_s=0):
            pass
        user.kill()

    with folder.alone(ID, timeout_s=5):
        folder.remove(ID)


def test_the_one_used_longest_ago_comes_first(folder):
    build(folder, OTHER)
    build(folder)
    os.utime(folder.path / f"{OTHER}.lock", (1, 1))
    os.utime(folder.path / f"{ID}.lock", (2, 2))
    assert folder.ids() == [OTHER, ID]

    held = folder.hold(OTHER)

    assert folder.ids() == [ID, OTHER]
    assert held is not None
    held.release()


def test_a_file_that_is_linked_twice_counts_once(folder):
    folder.path.mkdir()
    (folder.path / "one").write_bytes(bytes(1 << 20))
    (folder.path / "other").hardlink_to(folder.path / "one")

    assert 1 << 20 <= folder.size_bytes() < 1.5 * (1 << 20)


@pytest.fixture
def uv(tmp_path) -> Uv:
    given = {
        "SECRET_KEY": "s" * 32,
        "DATABASE_URL": "postgresql://me:secret@localhost/db",
        "PIP_INDEX_URL": "https://me:secret@index.example/simple",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "UV_TARGET": "/elsewhere",
        "HTTPS_PROXY": "http://me:secret@127.0.0.1:9",
    }
    return Uv(given, home=tmp_path / "home", wheels=None, offline=False)


def test_uv_is_given_the_way_to_the_index_and_nothing_else(uv):
    assert uv.variables.keys() == {
        "PATH",
        "HOME",
        "UV_CACHE_DIR",
        "UV_PYTHON_DOWNLOADS",
        "LC_ALL",
        "UV_DEFAULT_INDEX",
        "HTTPS_PROXY",
    }
    assert uv.leads_elsewhere


def test_what_uv_says_is_told_without_addresses_and_paths(uv, tmp_path):
    with pytest.raises(UvFailed) as failure:
        uv.run("pip", "install", "--requirements", str(tmp_path / "secret.txt"), timeout_s=30)

    assert "secret" not in str(failure.value)
    assert "(address)" in str(failure.value)


def test_uv_that_takes_too_long_is_ended(uv):
    with pytest.raises(UvFailed, match=r"took longer than 0.1 s"):
        uv.run(*NEVER_ENDING, timeout_s=0.1)


def test_what_watches_uv_can_end_it(uv, monkeypatch):
    def refuse() -> None:
        raise UvFailed("too large")

    monkeypatch.setattr("workers.environments.uv._WATCH_PAUSE_S", 0)

    with pytest.raises(UvFailed, match="too large"):
        uv.run(*NEVER_ENDING, timeout_s=600, watch=refuse)


def test_a_worker_that_ends_runs_no_more(uv):
    uv.stop()

    with pytest.raises(UvStopped):
        uv.run("venv", "venv", timeout_s=30)


def test_who_waits_for_an_environment_can_be_stopped(folder, uv):
    build(folder)
    held = folder.hold(ID)
    uv.stop()

    with pytest.raises(UvStopped), folder.alone(ID, timeout_s=30, go_on=uv.go_on):
        pass

    assert held is not None
    held.release()


def test_uv_is_there():
    assert os.access(executable(), os.X_OK)
