"""Secrets and folders, planted where an attack may look, and what became of them."""

import os
import secrets as chance
import shutil
import sysconfig
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression

_BEGINNING = "tenant" + "-secret"  # what a model carries must not look like one

# Thirty-two bytes, so that they can be the four numbers of a row.
ROWS_SECRET = f"{_BEGINNING}-{'5e' * 9}"


_ELSEWHERE = [
    *map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run", "/")),
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")),
]


def secret() -> str:
    """Of the form that attacks look for."""
    return f"{_BEGINNING}-{chance.token_hex(8)}"


class Planted:
    """A folder as a worker's might be: artifacts, code and keys, and who may look at them.

    Attributes:
        secrets: all, by where they are.
        environment: of the worker.
    """

    def __init__(self, folder: Path, *, user: int) -> None:
        self.folder, self._user = folder, user
        self.secrets = {name: secret() for name in ("environment", "database", "file", "model", "argument")}
        self.secrets["rows"] = ROWS_SECRET[: len(secret())]
        self.environment = {
            "SECRET_KEY": self.secrets["environment"],
            "DATABASE_URL": f"postgresql://modelyard:{self.secrets['database']}@127.0.0.1/modelyard",
            "VICTIM_NAME": f"--password={self.secrets['argument']}",
        }
        self.storage, self.code = folder / "storage", folder / "code"
        self.secret_file, self.public_file = folder / "secret.key", folder / "notes.txt"
        self.other_model = self.storage / "other.joblib"
        self.plant()

    def plant(self) -> None:
        """Put everything in its place, again where an attack has moved it."""
        for path in self.folder.iterdir():
            if path.suffix != ".sock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._made(self.storage)
        self._made(self.code)
        self._written(self.secret_file, self.secrets["file"].encode(), mode=0o600)
        self._written(self.public_file, self.secrets["file"].encode(), mode=0o644)
        self._written(self.code / "module.py", b"pass\n", mode=0o644)
        self._written(self.other_model, self._control(), mode=0o600)
        self._before = self.state()

    def artifact(self, name: str, content: bytes) -> Path:
        """An upload, as the store keeps it."""
        return self._written(self.storage / name, content, mode=0o600)

    def state(self) -> dict[str, tuple[int, ...]]:
        """What lies there: bytes, rights and owner."""
        return {str(path): _look(path) for path in sorted(self.folder.rglob("*"))}

    def changed(self) -> list[str]:
        """The paths that are not as they were planted."""
        now = self.state()
        return [
            path
            for path in {*now, *self._before}
            if now.get(path) != self._before.get(path) and not path.endswith((".sock", ".upload"))
        ]

    def left_elsewhere(self, name: str) -> list[Path]:
        """Files of that name in places where anybody may write, or where libraries lie."""
        return [path for folder in _ELSEWHERE for path in folder.glob(f"{name}*")]

    def _control(self) -> bytes:
        """A model of another tenant that answers twice its first number, with a secret in its file."""
        model = LinearRegression()
        model.coef_, model.intercept_ = np.array([2.0, 0.0, 0.0, 0.0]), 0.0
        model.n_features_in_, model.note_ = 4, self.secrets["model"]
        file = BytesIO()
        joblib.dump(model, file)
        return file.getvalue()

    def _made(self, path: Path) -> None:
        path.mkdir()
        os.chown(path, self._user, self._user)

    def _written(self, path: Path, content: bytes, *, mode: int) -> Path:
        path.write_bytes(content)
        os.chown(path, self._user, self._user)
        path.chmod(mode)
        return path


def _look(path: Path) -> tuple[int, ...]:
    stat = path.lstat()
    if path.is_dir():
        return (stat.st_mode, stat.st_uid)
    return (stat.st_mode, stat.st_uid, stat.st_size, stat.st_mtime_ns)
