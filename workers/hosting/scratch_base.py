"""The folder below which the hosts of one template have their scratch folders."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

_PREFIX = "modelyard-hosts-"


class ScratchBase:
    """Removed when nobody needs it any more, at the latest when this process ends in order.

    One that was killed leaves its own behind: the next process removes that.

    Attributes:
        path: which everybody may enter, and nobody may list.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        Path(self.path).chmod(0o711)
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not _runs(int(pid)) and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.getuid()
    except FileNotFoundError:  # another process that starts now was faster
        return False


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
