"""The folder that a machine's environments are in. All workers of the machine share it.

{id}/                 an environment; it is whole if it is there
{id}.lock             held exclusively by who builds or removes it, shared by who runs on it; its time of
                      change is the environment's last use
{id}.{random}.building  unfinished; whoever holds the lock next removes it
home/                 uv's: what it downloaded, linked into the environments
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

_LOOK_PAUSE_S = 0.1
_ID_CHARACTERS = 32
_MARK = "distributions.2"  # what is in it, written last; another number when what is built changes


class HeldEnvironment:
    """An environment that stays while it is held: by this process, until `release` or its end."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor: int | None = descriptor

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def release(self) -> None:
        """It may be removed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class EnvironmentFolder:
    """Environments by id, and who uses them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def home(self) -> Path:
        """Uv's."""
        return self.path / "home"

    def hold(self, environment_id: str) -> HeldEnvironment | None:
        """The environment, if it is there and nobody removes or builds it just now."""
        if not self.path.is_dir():
            return None
        descriptor = self._open_lock(environment_id)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if self.is_whole(environment_id):
                os.utime(descriptor)
                return HeldEnvironment(self.path / environment_id, descriptor)
        os.close(descriptor)
        return None

    @contextlib.contextmanager
    def alone(
        self, environment_id: str, *, timeout_s: float, go_on: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Be the only one who builds, removes or uses it.

        Args:
            go_on: called while it waits; what it raises ends that.

        Raises:
            TimeoutError: others did not end in time.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor, deadline = self._open_lock(environment_id), time.monotonic() + timeout_s
        try:
            while not _locked(descriptor):
                go_on()
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(_LOOK_PAUSE_S)
            yield
        finally:
            os.close(descriptor)

    def unfinished(self, environment_id: str) -> "Unfinished":
        """Where to build it, alone. What others left unfinished goes."""
        self._sweep(environment_id)
        return Unfinished(self.path, environment_id)

    def remove(self, environment_id: str) -> None:
        """Remove it, alone; in two steps, so that no half of it is ever taken for a whole."""
        doomed = Path(tempfile.mkdtemp(dir=self.path, prefix=f"{environment_id}.", suffix=".building"))
        with contextlib.suppress(FileNotFoundError):
            (self.path / environment_id).rename(doomed / "removed")
        shutil.rmtree(doomed, ignore_errors=True)

    def ids(self) -> list[str]:
        """Of all environments that are there; the one used longest ago comes first."""
        found = [path for path in self.path.glob("*.lock") if self._is_id(path.stem)]
        return [path.stem for path in sorted(found, key=lambda path: path.stat().st_mtime)]

    def size_bytes(self) -> int:
        """Of all files, those that are linked several times counted once."""
        sizes: dict[int, int] = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(os.path.join(folder, name))  # noqa: PTH118  a hundred thousand of them
                    sizes[status.st_ino] = status.st_blocks * 512
        return sum(sizes.values())

    def _is_id(self, name: str) -> bool:
        return len(name) == _ID_CHARACTERS and (self.path / name).is_dir()

    def is_whole(self, environment_id: str) -> bool:
        """As far as a look tells: its Python is there, and every distribution that was installed."""
        folder = self.path / environment_id
        with contextlib.suppress(OSError):
            wanted = (folder / _MARK).read_text().split("\n")
            return os.access(folder / "bin" / "python", os.X_OK) and all(
                (folder / name / "METADATA").is_file() for name in wanted
            )
        return False

    def _sweep(self, environment_id: str) -> None:
        for left in self.path.glob(f"{environment_id}.*.building"):
            shutil.rmtree(left, ignore_errors=True)

    def _open_lock(self, environment_id: str) -> int:
        return os.open(self.path / f"{environment_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Unfinished:
    """An environment in the making: it appears whole, by `finish`, or goes."""

    def __init__(self, parent: Path, environment_id: str) -> None:
        self._final = parent / environment_id
        self.path = Path(tempfile.mkdtemp(dir=parent, prefix=f"{environment_id}.", suffix=".building"))
        self.path.chmod(0o755)

    def finish(self) -> None:
        """Note what is in it, and let it be seen."""
        found = sorted(str(path.relative_to(self.path)) for path in self.path.glob("**/*.dist-info"))
        (self.path / _MARK).write_text("\n".join(found))
        self.path.rename(self._final)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
