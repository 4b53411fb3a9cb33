"""Who a supervisor is: the user that runs the tests, or one without any right.

An ordinary user cannot always read the interpreter and the libraries that the tests run with: they may lie
in a folder that only root can enter. Such a user gets another name for the same files (hard links), or, on
another disk, a copy.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.attacks.planted import Planted
from tests.attacks.supervisor import Told, Trial

ROOT = Path(__file__).parents[2]
ORDINARY = 61_000  # a user that owns nothing on any machine
_LEFT_OUT = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "site-packages", "config-3*")
_ANSWER_S = 120


class Hosting:
    """A supervisor process under one identity. Ask it one thing at a time."""

    def __init__(
        self, planted: Planted, *, user: int, python: Path, root: Path, limits: dict[str, Any]
    ) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "tests.attacks.supervisor"],
            cwd="/",
            env=planted.environment | {"PYTHONPATH": str(root), "PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **_as(user),
        )
        try:
            self.facts = self._ask({"control": str(planted.other_model), "limits": limits})
        except BaseException:
            self.close()
            raise

    def try_out(self, trial: Trial) -> Told:
        answer = self._ask(msgspec.to_builtins(trial))
        self.facts = answer["facts"]
        return msgspec.convert(answer["told"], Told)

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.stdout.close()

    def _ask(self, question: Any) -> Any:
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the supervisor ended; see what it said"
        return json.loads(answer)


class Readable:
    """An interpreter, libraries and a checkout that anybody may read, under `folder` where need be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = ROOT if _open_to_all(ROOT) else self._checkout()
        libraries = Path(sysconfig.get_path("purelib"))
        base = Path(sys.base_prefix)
        if _open_to_all(Path(sys.executable).resolve()) and _open_to_all(libraries):
            self.python = Path(sys.executable)
        else:
            self.python = self._environment(base, libraries)

    def _checkout(self) -> Path:
        root = self._folder / "checkout"
        for name in ("shared", "workers", "tests"):
            _linked(ROOT / name, root / name)
        return root

    def _environment(self, base: Path, libraries: Path) -> Path:
        """As venv makes it: a folder that names its interpreter, beside the libraries."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        interpreter = self._folder / "py"
        (interpreter / "bin").mkdir(parents=True)
        _moved(Path(sys.executable).resolve(), interpreter / "bin" / version, base / "lib")
        _linked(base / "lib" / version, interpreter / "lib" / version, ignore=_LEFT_OUT)
        for library in (base / "lib").glob("libpython*"):
            _link(library, interpreter / "lib" / library.name)
        environment = self._folder / "environment"
        own = environment / "lib" / version / "site-packages"
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text(f"home = {interpreter / 'bin'}\n")
        (environment / "bin" / "python").symlink_to(interpreter / "bin" / version)
        own.parent.mkdir(parents=True)
        if _open_to_all(libraries):
            own.symlink_to(libraries)
        else:
            _linked(libraries, own)
        return environment / "bin" / "python"


def _as(user: int) -> dict[str, Any]:
    """Drop to that user, with no group and no capability of the one who runs the tests."""
    return {} if user == os.getuid() else {"user": user, "group": user, "extra_groups": []}


def _open_to_all(path: Path) -> bool:
    """Whether anybody may enter every folder on the way, and read what is there."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents) and bool(path.stat().st_mode & 0o004)


def _linked(source: Path, target: Path, **options: Any) -> None:
    shutil.copytree(source, target, copy_function=_link, symlinks=True, **options)
    target.chmod(0o755)


def _moved(source: Path, target: Path, libraries: Path) -> None:
    """A copy of the interpreter that looks for its own library beside it, where it names a folder."""
    before, after = bytes(libraries), bytes(target.parents[1] / "lib")
    program = source.read_bytes()
    if before in program:
        if len(after) > len(before):
            pytest.skip(f"{libraries} is closed to other users, and {target} is too long to stand in for it")
        program = program.replace(before + b"\0", after.ljust(len(before), b"\0") + b"\0")
    target.write_bytes(program)
    target.chmod(0o755)


def _link(source: Any, target: Any) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file that may not be linked
        shutil.copy2(source, target)
