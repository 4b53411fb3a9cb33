"""Abuses the one folder that it may write to."""

import contextlib
import os
import stat
import tempfile
import time
from pathlib import Path

from tests.attacks.deeds.syscalls import first_that_works

WATCHED_S = 2.0  # a folder that is not a file system of its own is looked at now and then


def fill(planted):
    """More than it may; stops at half as much again, and waits for whoever looks."""
    piece, most = bytes(1 << 20), planted.most_bytes * 3 // 2
    written = 0
    with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
        while written < most:
            written += file.write(piece)
        time.sleep(WATCHED_S)
    return f"{written} bytes in its folder" if written > planted.most_bytes else None


def many_files(planted):
    made = 0
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder:
        for made in range(20_000):
            Path(folder, str(made)).touch()
        time.sleep(WATCHED_S)
    return f"{made} files" if made >= 10_000 else None


def folders_in_folders(planted):
    """Deeper than whoever tidies up goes, by ways too long to be named."""
    os.chdir(tempfile.mkdtemp())
    with contextlib.suppress(OSError):
        for _ in range(2000):
            os.mkdir("folder-in-a-folder")
            os.chdir("folder-in-a-folder")


def a_folder_that_cannot_be_removed(planted):
    folder = Path(tempfile.mkdtemp())
    (folder / "file").touch()
    folder.chmod(0)
    if not folder.parent.stat().st_mode & stat.S_ISVTX:  # without a cell it would be everybody's
        folder.parent.chmod(0o500)


def the_folders_of_others(planted):
    """They are named by their process."""
    base = Path(tempfile.gettempdir()).parent
    other = base / str(planted.control)
    return first_that_works(
        lambda: os.listdir(base),
        lambda: os.listdir(other),
        lambda: (other / "pwned").touch() or "a file of another model",
        lambda: os.rename(tempfile.gettempdir(), base / "moved") or "its folder has moved",
    )


def a_link_out(planted):
    """Whoever follows it, reads for the model, or removes for it."""
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(planted.code)
    Path(tempfile.gettempdir(), "file").symlink_to(planted.secret_file)


def a_program(planted):
    path = Path(tempfile.mkdtemp()) / "program"
    path.write_text("#!/bin/sh\necho PWNED:its program ran\n")
    path.chmod(0o4755)
    os.execv(path, ["program"])
