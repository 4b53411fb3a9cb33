"""Opens an artifact and says what came of it."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import pandas as pd

from shared.catalog.verdict import Probe, Signature, Verdict
from workers.host.artifact import Artifact
from workers.host.rejection import Rejected
from workers.host.runtimes import runtime_of
from workers.host.runtimes.runtime import Description, LoadedModel
from workers.host.sample import read_sample

_PROBES = 5


def open_known(artifact: int, signature: Signature) -> tuple[Verdict, LoadedModel | None]:
    """Open an artifact whose signature an earlier verdict found: no probe, no questions."""
    facts: dict[str, Any] = {}
    try:
        model = _load(Artifact(artifact), facts)
    except Rejected as refusal:
        return Verdict(status="rejected", reason=refusal.reason, **facts), None
    model.accept(signature)
    return Verdict(status="ready", signature=signature, warnings=model.warnings, **facts), model


def examine(artifact: int, sample: int | None) -> tuple[Verdict, LoadedModel | None]:
    """Open an artifact for the first time, and try it.

    Returns:
        The whole verdict, and the model if it can be served.
    """
    facts: dict[str, Any] = {}  # what is known by the time of a refusal belongs to its verdict too
    try:
        rows = None if sample is None else read_sample(sample)
        model = _load(Artifact(artifact), facts)
        description = model.describe(rows)
    except Rejected as refusal:
        return Verdict(status="rejected", reason=refusal.reason, **facts), None
    model.accept(description.signature)
    verdict = Verdict(
        status="ready",
        signature=description.signature,
        probe=_probe(model, description),
        warnings=model.warnings + description.warnings,
        **facts,
    )
    return verdict, model


def _load(artifact: Artifact, facts: dict[str, Any]) -> LoadedModel:
    runtime = runtime_of(artifact)
    facts["runtime"] = runtime.name
    started = time.perf_counter()
    model = runtime.load(artifact)
    facts["load_time_ms"] = round((time.perf_counter() - started) * 1000, 3)
    facts.update(format=model.format, estimator=model.estimator, libraries=model.libraries)
    return model


def _probe(model: LoadedModel, description: Description) -> Probe:
    rows: Any = description.rows
    one = rows.iloc[:1] if isinstance(rows, pd.DataFrame) else rows[:1]
    took = [_timed(model, one, ["label"]) for _ in range(_PROBES)]
    return Probe(rows=len(rows), latency_us=round(median(took) * 1e6, 1))


def _timed(model: LoadedModel, rows: Any, outputs: Sequence[str]) -> float:
    started = time.perf_counter()
    model.predict(rows, outputs)
    return time.perf_counter() - started
