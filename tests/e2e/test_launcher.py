"""What whoever types `make run` sees, whatever happens to the processes."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.command import ROOT, basic_environment
from tests.fixtures.platform import Platform, find_free_port, launched, wait_until
from tests.fixtures.servers import server_folder

# Enough for what is tested, and ready in two seconds: no API to wait for.
SMALL = {"FORMATION": "api=0 predict=0 batch=0"}
USER = {"email": "user@example.com", "password": "SecureP@ss123"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder / "data"


def test_it_prints_the_first_command_when_the_api_is_ready(platform):
    answer = httpx.get(f"{platform.base_url}/readyz")

    assert answer.status_code == 200
    assert f"curl -X POST {public(platform)}/api/v1/auth/register" in platform.log.read_text()
    assert f"{public(platform)}/docs" in platform.log.read_text()


@pytest.mark.parametrize("name", ["webhooks", "predict", "redis", "postgres", "api"])
def test_a_process_that_is_killed_is_started_again(platform, name):
    killed = platform.pids()[name]

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: platform.pids().get(name, killed) != killed, within_s=20)
    wait_until(lambda: is_ready(platform), within_s=60)


def test_ctrl_c_stops_everything_in_order(folder):
    with launched(folder, **SMALL) as platform:
        platform.wait_until_ready()
        processes = platform.processes()

        exit_code = platform.stop(signal.SIGINT)

    assert exit_code == 0
    assert len(processes) > 4
    assert not any(process.is_running() for process in processes)
    assert platform.pids() == {}


def test_a_second_ctrl_c_ends_what_does_not_stop(folder):
    with launched(folder, **SMALL) as platform:
        platform.wait_until_ready()
        processes = platform.processes()
        os.kill(platform.pids()["webhooks"], signal.SIGSTOP)
        platform.launcher.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping" in platform.log.read_text(), within_s=5)

        platform.stop(signal.SIGINT)

    assert not any(process.is_running() for process in processes)


def test_a_second_start_keeps_the_data_of_a_platform_that_was_killed(folder):
    few = {"FORMATION": "batch=0 webhooks=0 scheduler=0"}
    with launched(folder, **few) as first:
        first.wait_until_ready()
        post(first, "auth/register", {**USER, "full_name": "John Doe"})
        first.kill_everything()
    first.log.unlink()

    with launched(folder, **few) as second:
        second.wait_until_ready()

        assert post(second, "auth/login", USER).status_code == 200


def test_nothing_outlives_a_launcher_that_was_killed(folder):
    with launched(folder, **SMALL) as first:
        first.wait_until_ready()
        processes = first.processes()

        first.launcher.kill()

        wait_until(lambda: not any(is_alive(process) for process in processes), within_s=20)
    first.log.unlink()
    with launched(folder, **SMALL) as second:
        second.wait_until_ready()


def test_two_run_side_by_side(folder):
    with launched(folder, **SMALL) as one, launched(folder.with_name("other"), **SMALL) as other:
        one.wait_until_ready()
        other.wait_until_ready()

        assert one.pids().keys() == other.pids().keys() == {"postgres", "redis", "webhooks", "scheduler"}
        assert not set(one.pids().values()) & set(other.pids().values())


def test_a_folder_with_a_long_path_with_spaces_will_do(folder):
    deep = folder.joinpath(*["a rather long name of a folder"] * 4)
    deep.mkdir(parents=True)

    with launched(deep / "data", **SMALL) as platform:
        platform.wait_until_ready()


def test_several_processes_of_an_entry_run_when_asked_for(folder):
    formation = "api=0 predict=0 batch=0 scheduler=0 webhooks=2"

    with launched(folder, FORMATION=formation) as platform:
        platform.wait_until_ready()

        assert platform.pids().keys() == {"postgres", "redis", "webhooks.1", "webhooks.2"}


def test_a_taken_port_is_one_line(folder, platform):
    port = platform.base_url.rpartition(":")[2]

    assert refusal(folder, PORT=port).startswith(f"port {port} is taken: ")


def test_a_second_launcher_in_the_same_folder_is_one_line(folder):
    with launched(folder, **SMALL) as platform:
        platform.wait_until_ready()

        assert refusal(folder).startswith(f"it already runs here, as process {platform.launcher.pid}: ")


def test_data_of_another_postgresql_are_one_line(folder):
    data = folder / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")

    assert "holds data of PostgreSQL 12, and this is PostgreSQL" in refusal(folder)


def test_a_wrong_setting_is_one_line(folder):
    assert refusal(folder, LOG_LEVEL="loud").startswith("Invalid enum value 'loud' - at LOG_LEVEL")


def test_a_database_that_does_not_answer_is_one_line(folder):
    url = f"postgresql+asyncpg://user:secret@127.0.0.1:{find_free_port()}/none"

    line = refusal(folder, DATABASE_URL=url)

    assert line.startswith("DATABASE_URL: no PostgreSQL answers there")
    assert "secret" not in line


def test_a_full_disk_is_one_line(small_disk):
    assert "MB are free on the disk of" in refusal(small_disk / "data")


def test_a_missing_package_is_one_line():
    without_packages = [sys.executable, "-S", "-m", "deploy.local"]

    done = subprocess.run(without_packages, cwd=ROOT, env={}, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "modelyard cannot start: the package msgspec is not installed: run `make install`\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user")
@pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="no way to become one without leaving root's home"
)
def test_it_runs_as_an_ordinary_user(folder):
    shutil.chown(folder.parent, "nobody")

    with launched(folder, through=as_nobody(), **SMALL) as platform:
        platform.wait_until_ready()

        users = {process.username() for process in platform.processes()}

    assert users == {"nobody"}


def as_nobody() -> list[str]:
    """A command that runs another as an ordinary user, who may read our interpreter wherever it lies."""
    group = pwd.getpwnam("nobody").pw_gid
    reader = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", *reader]


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def refusal(folder: Path, **environment: str) -> str:
    """The one line that a launcher prints that cannot start, without its beginning."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", "--data", folder],
        cwd=ROOT,
        env=basic_environment() | {"PORT": str(find_free_port())} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line.removeprefix("modelyard cannot start: ")


def post(platform: Platform, path: str, body: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{platform.base_url}/api/v1/{path}", json=body)


def is_ready(platform: Platform) -> bool:
    try:
        return httpx.get(f"{platform.base_url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def public(platform: Platform) -> str:
    return platform.base_url.replace("127.0.0.1", "localhost")
