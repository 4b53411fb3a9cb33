"""A harness for other model servers, which is kept elsewhere.

It is a folder with `run.py`, `load.py`, `models.py` and, for each peer, a `peer.toml`. Its modules are
imported as they are: `run.Server(peer, config, model)` starts a peer, and `models.HOME` (the variable
PEERS_HOME) holds their environments, the trained models, and rows with the right answers.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from bench.tenant import Tenant, answered
from bench.wrk import Target

MODELS = ("iris_lr", "rf100", "hgb")


class PeerModel(msgspec.Struct, frozen=True):
    """A model that the peers serve, trained on bare arrays, with the rows that all are asked for."""

    path: Path
    rows: Sequence[Sequence[float]]
    labels: Sequence[int]


class Harness:
    """The harness in `folder`."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "run.py").exists():
            raise SystemExit(f"{folder} has no run.py: --peers wants the folder of the peers' harness")
        sys.path.insert(0, str(folder))
        self._run = _imported("run", folder)
        self._models = _imported("models", folder)
        self._load = _imported("load", folder)
        self._folder = folder

    def model(self, name: str) -> PeerModel:
        """One of MODELS; all are trained at the first time."""
        folder = self._models.HOME / "models" / name
        if not (folder / "rows.json").exists():
            python = self._run.python("fastapi") / "python"
            subprocess.run([python, self._folder / "models.py"], check=True)
        read = json.loads((folder / "rows.json").read_text())
        return PeerModel(folder / "model.joblib", read["rows"], read["answers"])

    @contextmanager
    def running(self, peer: str, config: str, model: str, bodies: Path) -> Iterator[Target]:
        """A peer that serves a model, its answers checked; what to post to it is written to `bodies`."""
        with self._run.Server(peer, config, model) as server:
            path = server.spec["answer"]
            checked = self._load.check(server.url, server.bodies, server.rows["answers"], path=path)
            if checked["wrong"]:
                raise RuntimeError(f"{checked['wrong']} answers are wrong: {checked['first_wrong']}")
            bodies.write_text("\n".join(server.bodies) + "\n")
            yield Target(url=server.url, bodies=bodies)


def served_by_us(tenant: Tenant, name: str, model: PeerModel, bodies: Path) -> Target:
    """The same model and rows on our platform, with no cache, its answers checked."""
    uploaded = tenant.upload(model.path, name=name)
    tenant.change_settings(name, cache=False)
    for row, label in zip(model.rows, model.labels, strict=True):
        prediction = answered(tenant.predict(uploaded["id"], _body(row)))["predictions"][0]
        if prediction != label:
            raise SystemExit(f"we answer {prediction} for {row}: it should be {label}")
    bodies.write_text("".join(json.dumps(_body(row)) + "\n" for row in model.rows))
    return tenant.target(uploaded["id"], bodies)


def _body(row: Sequence[float]) -> dict[str, Any]:
    return {"inputs": [row]}


def _imported(name: str, folder: Path) -> ModuleType:
    module = importlib.import_module(name)
    if Path(module.__file__ or "").parent != folder.resolve():
        raise SystemExit(f"{name} is {module.__file__}, not that of {folder}")
    return module
