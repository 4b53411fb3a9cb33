"""Opens an artifact and says what came of it."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from shared.catalog.verdict import Contents, Engine, Layout, Probe, Reason, Signature, Verdict
from workers.host.artifact import Artifact
from workers.host.bounds import Bounds
from workers.host.engines.accelerated import AcceleratedModel
from workers.host.engines.choosing import choose, rebuild
from workers.host.engines.many_rows import ManyRowsModel, many_rows_model
from workers.host.rejection import Rejected, refuse_code
from workers.host.replies import plain
from workers.host.rows import Rows, row_count, rows_at
from workers.host.runtimes import runtime_of
from workers.host.runtimes.runtime import Description, LoadedModel
from workers.host.sample import read_sample

_PROBES = 5
_REPEATED_ROWS = 64
_REPEAT_S = 1.0


class Opened(msgspec.Struct, frozen=True):
    """What came of opening an artifact.

    Attributes:
        model: None where it cannot be served.
        accelerated: the engine that answers in the model's place, if there is one.
        walking: what answers calls of thousands of rows in its place, if there is such a thing.
        description: of a first opening.
    """

    verdict: Verdict
    model: LoadedModel | None = None
    accelerated: AcceleratedModel | None = None
    walking: ManyRowsModel | None = None
    description: Description | None = None


class Inspection(msgspec.Struct, frozen=True):
    """What reading an artifact told: its contents, or why nothing in it can be served.

    Attributes:
        importable: the names that its pickles may import from now on.
    """

    contents: Contents | None
    reason: Reason | None = None
    importable: frozenset[tuple[str, str]] | None = None


def inspect(artifact: int, *, bounds: Bounds) -> Inspection:
    """Read an artifact. Runs nothing of it."""
    try:
        opened = Artifact(artifact, bounds=bounds)
        contents = runtime_of(opened).read(opened)
    except Rejected as refusal:
        return Inspection(None, refusal.reason)
    return Inspection(contents, None, opened.importable)


def open_known(
    artifact: int, signature: Signature, engine: Engine | None, *, bounds: Bounds, may_run_code: bool = True
) -> Opened:
    """Open an artifact whose signature and engine an earlier verdict found: no probe, no questions."""
    facts: dict[str, Any] = {}
    try:
        model = _load(Artifact(artifact, bounds=bounds), facts, may_run_code=may_run_code)
    except Rejected as refusal:
        return Opened(Verdict(status="rejected", reason=refusal.reason, **facts))
    model.accept(signature)
    choice = None if engine is None or not engine.compiled else rebuild(model, signature, engine)
    verdict = Verdict(
        status="ready",
        signature=signature,
        engine=choice.engine if choice else None,
        warnings=model.warnings,
        **facts,
    )
    return Opened(verdict, model, choice.model if choice else None)


def for_many_rows(opened: Opened) -> Opened:
    """The same, answering thousands of rows by a faster form where its model has one."""
    model, signature = opened.model, opened.verdict.signature
    if model is None or signature is None or signature.layout is not Layout.MATRIX:
        return opened
    walking = many_rows_model(model, len(signature.inputs))
    if walking is None:
        return opened
    verdict = msgspec.structs.replace(opened.verdict, engine=walking.engine)
    return msgspec.structs.replace(opened, verdict=verdict, walking=walking)


def examine(
    artifact: int,
    sample: int | None,
    *,
    bounds: Bounds,
    inspection: Inspection | None = None,
    may_run_code: bool = True,
) -> Opened:
    """Open an artifact for the first time, and try it.

    Args:
        inspection: of the same artifact; None: it is read first.
        may_run_code: otherwise only formats that bring none are opened.
    """
    facts: dict[str, Any] = {}  # what is known by the time of a refusal belongs to its verdict too
    try:
        rows = None if sample is None else read_sample(sample)
        opened = _read(Artifact(artifact, bounds=bounds), inspection, facts)
        model = _load(opened, facts, may_run_code=may_run_code)
        description = model.describe(rows)
    except Rejected as refusal:
        return Opened(Verdict(status="rejected", reason=refusal.reason, **facts))
    model.accept(description.signature)
    verdict = Verdict(
        status="ready",
        signature=description.signature,
        probe=_probe(model, description),
        deterministic=_answers_alike(model, description),
        warnings=model.warnings + description.warnings,
        **facts,
    )
    return Opened(verdict, model, description=description)


def accelerate(opened: Opened) -> tuple[Engine, Opened]:
    """Look for a faster engine for a model that was just examined."""
    if opened.model is None or opened.description is None:
        raise TypeError("an engine is looked for once, after a first opening")
    choice = choose(opened.model, opened.description)
    return choice.engine, Opened(opened.verdict, opened.model, choice.model)


def _read(artifact: Artifact, inspection: Inspection | None, facts: dict[str, Any]) -> Artifact:
    """The artifact, which may do no more than reading it showed."""
    if inspection is None:
        runtime = runtime_of(artifact)
        facts["runtime"] = runtime.name
        runtime.read(artifact)
    else:
        artifact.importable = inspection.importable
    return artifact


def _load(artifact: Artifact, facts: dict[str, Any], *, may_run_code: bool) -> LoadedModel:
    runtime = runtime_of(artifact)
    facts["runtime"] = runtime.name
    if not may_run_code:
        refuse_code(runtime.read(artifact))
        artifact.file.seek(0)
    started = time.perf_counter()
    model = runtime.load(artifact)
    facts["load_time_ms"] = round((time.perf_counter() - started) * 1000, 3)
    facts.update(format=model.format, estimator=model.estimator, libraries=model.libraries)
    return model


def _probe(model: LoadedModel, description: Description) -> Probe:
    one = rows_at(description.rows, [0])
    main = [description.signature.main.name]
    took = [_timed(model, one, main) for _ in range(_PROBES)]
    return Probe(rows=row_count(description.rows), latency_us=round(median(took) * 1e6, 1))


def _answers_alike(model: LoadedModel, description: Description) -> bool:
    """Whether the same rows get the same answers each time."""
    if model.draws():
        return False
    outputs = [output.name for output in description.signature.outputs]
    rows = _repeated(description.rows)
    end = time.monotonic() + _REPEAT_S
    try:
        first = _plain_answers(model, rows, outputs)
        return all(
            _plain_answers(model, rows, outputs) == first
            for repeat in range(_PROBES)
            if not repeat or time.monotonic() < end
        )
    except Exception:  # noqa: BLE001  it answered before, and does not now
        return False


def _repeated(rows: Rows) -> Any:
    """So many rows that a model which draws lots cannot give the same answers by luck."""
    count = row_count(rows)
    return rows_at(rows, [number % count for number in range(_REPEATED_ROWS)])


def _plain_answers(model: LoadedModel, rows: Any, outputs: Sequence[str]) -> str:
    """As text, in which NaN equals NaN and a float shows all its digits."""
    return repr([plain(answer) for answer in model.predict(rows, outputs).values()])


def _timed(model: LoadedModel, rows: Any, outputs: Sequence[str]) -> float:
    started = time.perf_counter()
    model.predict(rows, outputs)
    return time.perf_counter() - started
