"""Leaves something behind, or changes what is there."""

import ctypes
import os
import shutil
from pathlib import Path

import numpy as np

from tests.attacks.deeds.syscalls import first_that_works


def a_file_anywhere(planted):
    folders = (
        planted.folder,
        planted.code,
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/run",
        os.getcwd(),
        "/",
        "/root",  # not what HOME says: that is the folder of its own
        "/home",
    )

    def left_in(folder):
        def write():
            path = Path(folder) / planted.name
            path.write_text("pwned")
            return path

        return write

    return first_that_works(*map(left_in, folders))


def a_library(planted):
    """Code that every host, or the worker itself, would run from then on."""
    folders = (Path(np.__file__).parents[1], Path(os.__file__).parent, planted.code)
    return first_that_works(
        *(lambda folder=folder: _appended(folder / f"{planted.name}.pth") for folder in map(Path, folders))
    )


def the_platforms_code(planted):
    return _appended(Path(planted.code) / "module.py")


def a_link(planted):
    """Files of others under a name of its own."""
    aim = Path(planted.folder) / planted.name
    return first_that_works(
        lambda: os.symlink(planted.secret_file, aim) or "a symbolic link",
        lambda: os.link(planted.other_model, aim) or "a hard link",
    )


def its_own_file(planted):
    """Write to the artifact by the descriptor that it was given, or by another way to it."""

    def reopened(number):
        descriptor = os.open(f"/proc/self/fd/{number}", os.O_RDWR)
        return os.pwrite(descriptor, b"pwned", 0) and f"descriptor {number}"

    def written(number):
        return os.pwrite(number, b"pwned", 0) and f"descriptor {number}"

    files = [number for number in range(3, 64) if number > 5]
    return first_that_works(
        lambda: _appended(Path(planted.own_file)),
        *(lambda number=number: written(number) for number in files),
        *(lambda number=number: reopened(number) for number in files),
    )


def rights_of_its_own_file(planted):
    """By its descriptor, past every path."""
    files = range(6, 64)
    return first_that_works(
        *(lambda number=number: os.fchmod(number, 0o777) or f"descriptor {number}" for number in files),
        lambda: os.chmod(planted.own_file, 0o777) or "its own file",
        lambda: os.utime(planted.own_file, (0, 0)) or "its own file's time",
    )


def rights_of_others(planted):
    return first_that_works(
        lambda: os.chmod(planted.other_model, 0o777) or "another model is open to everybody",
        lambda: os.chown(planted.other_model, os.getuid(), os.getgid()) or "another model has a new owner",
        lambda: os.utime(planted.other_model, (0, 0)) or "another model's time",
        lambda: os.setxattr(planted.other_model, "user.pwned", b"x") or "an attribute of another model",
    )


def other_models(planted):
    """Replace, cut short or delete them."""
    return first_that_works(
        lambda: os.truncate(planted.other_model, 0) or "another model is empty",
        lambda: os.rename(planted.other_model, planted.other_model + ".old") or "another model is gone",
        lambda: os.unlink(planted.other_model) or "another model is deleted",
        lambda: shutil.rmtree(planted.code) or "the code is deleted",
    )


def a_special_file(planted):
    aim = Path(planted.folder) / planted.name
    return first_that_works(
        lambda: os.mkfifo(aim) or "a pipe with a name",
        lambda: os.mknod(aim, 0o20600, os.makedev(1, 3)) or "a device",
        lambda: aim.mkdir() or "a folder",
    )


def memory_that_outlives_it(planted):
    """Shared memory, queues and semaphores of System V stay until somebody deletes them, as this does."""
    libc = ctypes.CDLL(None, use_errno=True)

    def kept(kind, *sizes):
        def make():
            number = getattr(libc, f"{kind}get")(0, *sizes, 0o1600)
            if number == -1:
                raise OSError(ctypes.get_errno(), kind)
            getattr(libc, f"{kind}ctl")(number, 0, 0, 0)
            return f"{kind} {number}"

        return make

    return first_that_works(kept("shm", 4096), kept("msg"), kept("sem", 1))


def the_terminal(planted):
    """What whoever runs the platform would read, or type."""
    return first_that_works(lambda: os.write(os.open("/dev/tty", os.O_RDWR), b"") or "a terminal")


def devices(planted):
    """Any that is more than nothing and chance."""
    kept = (
        "/dev/mem",
        "/dev/kmsg",
        "/dev/vda",
        "/dev/sda",
        "/dev/fuse",
        "/dev/net/tun",
        "/dev/kvm",
        "/dev/ptmx",
    )
    return first_that_works(*(lambda path=path: os.open(path, os.O_RDWR) and path for path in kept))


def settings_of_the_kernel(planted):
    """Opened only, never written."""
    kept = (
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/fs/cgroup/cgroup.procs",
        "/proc/self/uid_map",
    )
    return first_that_works(*(lambda path=path: os.open(path, os.O_WRONLY) and path for path in kept))


def _appended(path: Path) -> Path:
    with path.open("ab") as file:
        file.write(b"# pwned\n")
    return path
