"""Engines against the models themselves: a call to a model host and back, its load, and its memory."""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.catalog.verdict import Engine, Signature
from workers.hosting.call import PredictCall
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate

TIMEOUT_S = 60.0
RUNS = 200
MIB = 1024 * 1024

IRIS, CANCER = load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)
MODELS: dict[str, tuple[Any, tuple[np.ndarray, np.ndarray]]] = {
    "logistic regression": (LogisticRegression(max_iter=1000), IRIS),
    "scaler and logistic regression": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER),
    "random forest": (RandomForestClassifier(100, random_state=0), CANCER),
    "histogram gradient boosting": (HistGradientBoostingClassifier(random_state=0), CANCER),
}


def add_arguments(parser: ArgumentParser) -> None:
    """None are needed."""


def run(_: Namespace) -> None:
    template = HostTemplate()
    template.start()
    print("| model | engine | 1 row, us | 64 rows, us | load, ms | memory, MiB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (model, (X, y)) in MODELS.items():
            path = Path(folder) / "model.joblib"
            joblib.dump(model.fit(X, y), path)
            for line in measured(template, path, X):
                print(f"| {name} | {line} |")
    template.close()


def measured(template: HostTemplate, path: Path, X: np.ndarray) -> list[str]:
    """A line for the model itself, and one for its engine."""
    first = template.spawn()
    with path.open("rb") as file:
        signature = first.load(file.fileno(), probe=True, timeout_s=TIMEOUT_S).signature
    engine = first.accelerate(timeout_s=TIMEOUT_S)
    first.kill()
    assert signature is not None
    return [line(template, path, X, signature, chosen) for chosen in (None, engine)]


def line(
    template: HostTemplate, path: Path, X: np.ndarray, signature: Signature, engine: Engine | None
) -> str:
    host = template.spawn()
    started = time.perf_counter()
    with path.open("rb") as file:
        host.load(file.fileno(), probe=False, signature=signature, engine=engine, timeout_s=TIMEOUT_S)
    load_ms = (time.perf_counter() - started) * 1000
    one, many = (call_us(host, np.resize(X, (rows, X.shape[1]))) for rows in (1, 64))
    memory = host.memory_bytes() / MIB
    host.kill()
    return f"{engine.name if engine else 'native'} | {one:.0f} | {many:.0f} | {load_ms:.0f} | {memory:.0f}"


def call_us(host: HostProcess, rows: np.ndarray) -> float:
    call = PredictCall(rows=len(rows), matrix=[rows.tobytes()])
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        host.submit(call)
        host.receive(timeout_s=TIMEOUT_S)
        took.append(time.perf_counter() - started)
    return median(took) * 1e6
