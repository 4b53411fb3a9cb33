"""Scratch folders that lie on the disk: looked at while a host fills them, removed whatever it left."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.host.cell import scratch

PID = 4711
MIB = 1024 * 1024
ORDINARY = 65534


@pytest.fixture
def room() -> Iterator[Path]:
    """The folder of a host. None of pytest's: what is left there in spite of all, it cannot remove."""
    base = Path(tempfile.mkdtemp(prefix="scratch-"))
    base.chmod(0o755)
    path = base / str(PID)
    path.mkdir()
    yield path
    subprocess.run(["rm", "-rf", base], check=True)


def fill(room: Path) -> None:
    (room / "file").write_bytes(bytes(2 * MIB))


def deep(room: Path) -> None:
    """Deeper than Python recurses, and than a path can be long."""
    inside(room, ["folder-in-a-folder"] * 1100)


def long(room: Path) -> None:
    """Few folders, whose names together are longer than a path can be."""
    inside(room, ["n" * 255] * 16)


def closed(room: Path) -> None:
    """A file in a folder that nobody may list."""
    (room / "closed").mkdir(mode=0o300)
    (room / "closed" / "file").touch()


def alike(room: Path) -> None:
    """Folders that have the same name once they are brought up."""
    for number in range(3):
        (room / f"{number}" / "same" / "same").mkdir(parents=True)


def inside(room: Path, names: list[str]) -> None:
    before = Path.cwd()
    os.chdir(room)
    for name in names:
        os.mkdir(name)  # noqa: PTH102  there is no way to it that is short enough
        os.chdir(name)
    os.chdir(before)


def as_ordinary_user(action: Callable[[], bool]) -> bool:
    """What comes of it where no right of root's helps."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            if os.getuid() == 0:
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            status = int(action())
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1), "it raised an error, of which the template would have died"
    return bool(status)


@pytest.mark.parametrize("deed", [fill, deep, long, closed])
def test_what_a_host_may_not_have_is_seen_and_no_trick_ends_who_looks(room, deed):
    if os.getuid() == 0:
        os.chown(room, ORDINARY, ORDINARY)

    def seen() -> bool:
        deed(room)
        return scratch.is_too_full(str(room.parent), PID, size_bytes=MIB)

    assert as_ordinary_user(seen)


@pytest.mark.parametrize("deed", [fill, deep, long, closed, alike])
def test_whatever_a_host_leaves_is_removed(room, deed):
    if os.getuid() == 0:
        os.chown(room, ORDINARY, ORDINARY)
        os.chown(room.parent, ORDINARY, ORDINARY)

    def removed() -> bool:
        deed(room)
        scratch.remove(str(room.parent), PID)
        return not room.exists()

    assert as_ordinary_user(removed)


def test_an_honest_folder_is_not_too_full(room):
    (room / "inner").mkdir()
    (room / "inner" / "file").write_bytes(bytes(1000))

    assert not scratch.is_too_full(str(room.parent), PID, size_bytes=MIB)
