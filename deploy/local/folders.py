"""Folders that belong to a server: who may enter them, and short ones for its socket."""

import hashlib
import os
import pwd
import stat
import tempfile
from pathlib import Path

from deploy.local.errors import CannotStart

# A socket's path may have 107 bytes on Linux and 103 on macOS; the longest name is PostgreSQL's lock.
_SOCKET_FOLDER_BYTES = 103 - len("/.s.PGSQL.5432.lock")


def own_folder(path: Path, account: str = "") -> Path:
    """Make the folder `path`, which only `account` (empty: this user) may enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if account:
        user = pwd.getpwnam(account)
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def reachable_by_all(path: Path) -> bool:
    """Whether any user may pass through every folder on the way to `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def socket_folder(path: Path, account: str = "") -> Path:
    """A private folder for sockets: `path`, or a short one in its stead when it is too long for them.

    Raises:
        CannotStart: the short one is there already and is somebody else's.
    """
    if len(os.fsencode(path.absolute())) <= _SOCKET_FOLDER_BYTES:
        return own_folder(path, account)
    owner = account or pwd.getpwuid(os.geteuid()).pw_name
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
    short = Path(_short_temporary_folder(), f"modelyard-{owner}-{digest}")
    if short.is_symlink() or (short.exists() and short.owner() not in {owner, _our_name()}):
        raise CannotStart(
            f"{short} belongs to somebody else: remove it, or move this folder to a shorter path"
        )
    return own_folder(short, account)


def _our_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _short_temporary_folder() -> str:
    folder = tempfile.gettempdir()
    return folder if len(folder) <= 40 else "/tmp"  # noqa: PLR2004, S108  a folder of our own is made in it
