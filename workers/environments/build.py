"""Builds environments, and removes those that were used longest ago."""

import shutil
import sys
from pathlib import Path

import structlog

from workers.environments.folder import EnvironmentFolder, HeldEnvironment, Unfinished
from workers.environments.lock import EnvironmentLock
from workers.environments.uv import Uv, UvFailed

log = structlog.get_logger()

_GRACE_S = (
    5.0  # for those who look at an environment that is to be built anew; where it runs, it is not broken
)
FOREIGN_FOLDER = ".foreign"  # among the environment's packages; see workers/host/foreign.py


class Builder:
    """Builds into a folder that other workers build into as well.

    Nothing of a package runs here: wheels are unpacked, and those that would have to be built are refused.
    """

    def __init__(self, folder: EnvironmentFolder, uv: Uv, *, timeout_s: float, max_bytes: int) -> None:
        self._folder, self._uv = folder, uv
        self._timeout_s, self._max_bytes = timeout_s, max_bytes

    def ensure(self, environment_id: str, lock: EnvironmentLock, *, anew: bool = False) -> HeldEnvironment:
        """The environment, built by us or by whoever came first.

        Args:
            anew: whatever is there is broken.

        Raises:
            UvFailed: it cannot be built.
        """
        held = None if anew else self._folder.hold(environment_id)
        while held is None:
            self._build(environment_id, lock, anew=anew)
            anew = False
            held = self._folder.hold(environment_id)  # None where another removed it just now
        return held

    def _build(self, environment_id: str, lock: EnvironmentLock, *, anew: bool) -> None:
        try:
            timeout_s = _GRACE_S if anew else self._timeout_s
            with self._folder.alone(environment_id, timeout_s=timeout_s, go_on=self._uv.go_on):
                if not anew and self._folder.is_whole(environment_id):
                    return
                log.info("building environment", environment=environment_id)
                self._folder.remove(environment_id)
                with self._folder.unfinished(environment_id) as unfinished:
                    self._install(unfinished, lock)
                    unfinished.finish()
        except TimeoutError as error:
            raise UvFailed("another process that builds or uses it does not end") from error
        log.info("environment built", environment=environment_id)
        self._make_room(environment_id)

    def _install(self, unfinished: Unfinished, lock: EnvironmentLock) -> None:
        watch = _Watch(self._folder, self._max_bytes // 2)
        self._uv.run(
            "venv",
            "--relocatable",
            "--allow-existing",
            "--python",
            sys.executable,
            str(unfinished.path),
            timeout_s=self._timeout_s,
        )
        python = unfinished.path / "bin" / "python"
        self._add(lock.known, unfinished.path, python, watch, target=None)
        (packages,) = unfinished.path.glob("lib/*/site-packages")
        _remove_what_runs_by_itself(packages)
        if lock.foreign:
            self._add(lock.foreign, unfinished.path, python, watch, target=packages / FOREIGN_FOLDER)

    def _add(
        self, requirements: str, folder: Path, python: Path, watch: "_Watch", *, target: Path | None
    ) -> None:
        listed = folder / "lock.txt"
        listed.write_text(requirements)
        self._uv.pip(
            "install",
            "--python",
            str(python),
            *(() if target is None else ("--target", str(target))),
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirements",
            str(listed),
            timeout_s=self._timeout_s,
            watch=watch.look,
        )

    def _make_room(self, but: str) -> None:
        """Remove downloads, then what was used longest ago and is not in use, until the rest fits."""
        if self._folder.size_bytes() <= self._max_bytes:
            return
        self._uv.forget_downloads(timeout_s=self._timeout_s)
        for environment_id in self._folder.ids():
            if self._folder.size_bytes() <= self._max_bytes:
                return
            if environment_id != but:
                self._remove_unused(environment_id)

    def _remove_unused(self, environment_id: str) -> None:
        try:
            with self._folder.alone(environment_id, timeout_s=0):
                self._folder.remove(environment_id)
        except TimeoutError:
            return
        log.info("environment removed", environment=environment_id)


def _remove_what_runs_by_itself(packages: Path) -> None:
    """Python runs these before a template has given up anything, whoever brought them and imports what."""
    for pattern in ("*.pth", "sitecustomize*", "usercustomize*"):
        for found in packages.glob(pattern):
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()


class _Watch:
    """Sees that one environment does not take the disk."""

    def __init__(self, folder: EnvironmentFolder, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._before = folder.size_bytes()

    def look(self) -> None:
        """Raises UvFailed: it grew too large."""
        if self._folder.size_bytes() - self._before > self._max_bytes:
            raise UvFailed(f"it takes more than the {self._max_bytes:,} bytes that it may")
