"""What is looked at before anything is started, so that the answer is one line instead of a stack of them."""

import errno
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from deploy.local.command import ROOT
from deploy.local.errors import CannotStart

NEEDED_BYTES = 300 * 1024 * 1024  # fresh data of PostgreSQL, and room to work


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this launcher; it is free again however the launcher ends.

    Raises:
        CannotStart: another one holds it, or the folder is somebody else's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise CannotStart(
            f"{folder} belongs to {folder.owner()}: start as that user, or use another folder (--data)"
        )
    folder.chmod(0o711)  # PostgreSQL passes through as another user when we are root; all inside is private
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotStart(
                f"it already runs here, as process {lock.read().strip()}: stop that one first, "
                "or start from another checkout with PORT set to another port"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def check_packages() -> None:
    """Raise unless everything in requirements/platform.in is installed."""
    lines = (ROOT / "requirements" / "platform.in").read_text().splitlines()
    names = [match[0] for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))]
    if missing := [name for name in names if not _is_installed(name)]:
        raise CannotStart(f"{', '.join(missing)} not installed: run `make install`")


def check_disk(folder: Path) -> None:
    """Raise unless there is room for the data."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise CannotStart(
            f"only {free // 1024**2} MB are free on the disk of {folder}, and {NEEDED_BYTES // 1024**2} MB "
            "are needed: free some, or use a folder on another disk (--data)"
        )


def check_port(host: str, port: int) -> None:
    """Raise unless the API can listen there, and `localhost` leads nowhere else."""
    _check_free(host, port)
    if host == "127.0.0.1":
        _check_free("::1", port, optional=True)


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _check_free(host: str, port: int, *, optional: bool = False) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"port {port} is taken: stop what listens there, or choose another one, "
                f"as in `PORT={port + 1} make run`"
            ) from None
        if not optional:
            raise CannotStart(
                f"cannot listen on {host} port {port}: {error.strerror}; set HOST and PORT"
            ) from None
