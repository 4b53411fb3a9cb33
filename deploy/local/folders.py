"""Folders that belong to a server: where they are, who may enter them."""

import hashlib
import os
import pwd
import stat
import tempfile
from pathlib import Path

from deploy.local.errors import CannotStart

# A socket's path may have 107 bytes on Linux and 103 on macOS; the longest name is PostgreSQL's lock.
_SOCKET_FOLDER_BYTES = 103 - len("/.s.PGSQL.5432.lock")
_OUTSIDE = Path("/var/lib/modelyard")


def own_folder(path: Path, account: str = "") -> Path:
    """Make the folder `path`, which only `account` (empty: this user) may enter.

    Raises:
        CannotStart: it is there already and is somebody else's.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_uid not in {_user_id(account), os.geteuid()}:
        raise CannotStart(f"{path} belongs to {path.owner()}: remove it, or start as that user")
    path.chmod(0o700)
    if account:
        os.chown(path, pwd.getpwnam(account).pw_uid, pwd.getpwnam(account).pw_gid)
    return path


def reachable_by_all(path: Path) -> bool:
    """Whether any user may pass through every folder on the way to `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def home_for(path: Path, account: str) -> Path:
    """The folder `path`, or one elsewhere that it links to if `account` cannot get to `path`."""
    if path.is_symlink():
        return path.readlink()
    if not account or reachable_by_all(path):
        return path
    _OUTSIDE.mkdir(parents=True, exist_ok=True)
    # A new one for each link, so that whoever removes the link begins anew.
    outside = Path(tempfile.mkdtemp(prefix=f"{path.name}-", dir=_OUTSIDE))
    path.symlink_to(outside)
    return outside


def socket_folder(path: Path, account: str = "") -> Path:
    """Where to keep sockets: `path`, or a short folder in its stead when it is too long for them."""
    if len(os.fsencode(path.absolute())) <= _SOCKET_FOLDER_BYTES:
        return path.absolute()
    return Path(f"/tmp/modelyard-{_user_id(account)}-{_digest(path)}")  # noqa: S108  made by `own_folder`, with care


def _user_id(account: str) -> int:
    return pwd.getpwnam(account).pw_uid if account else os.geteuid()


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
