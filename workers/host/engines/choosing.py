"""Decides at the first opening of a model what computes its answers, and builds it again at later ones."""

import time
from collections.abc import Iterator

import msgspec
import numpy as np

from shared.catalog.verdict import NATIVE, Engine, Layout, Signature
from workers.host.engines.accelerated import AcceleratedModel
from workers.host.engines.comparison import TOLERANCE, Comparer, Comparison
from workers.host.engines.compiled import ANSWERED, CannotCompile, Compiled
from workers.host.engines.compiling import compile_estimator
from workers.host.engines.edges import Straddling, around_splits, spread_rows
from workers.host.engines.links import Floats
from workers.host.engines.tail import Tail
from workers.host.engines.timing import Timing, measure
from workers.host.runtimes.runtime import Answering, Description, LoadedModel

PROBABILITIES = "probabilities"
COMPARE_S = 2.0
MEASURE_S = 0.5

_LEAST_MARGIN = 1e-9
_MARGIN_FACTOR = 100.0  # times the largest difference seen


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled model on trial.

    Attributes:
        rows: to compare on first.
        end: when time is up, on the monotonic clock.
    """

    model: Answering
    compiled: Compiled
    engine: Engine
    outputs: list[str]
    rows: Floats
    end: float

    def comparer(self) -> Comparer:
        """Compares the two."""
        engine = AcceleratedModel(self.model, self.compiled, self.engine)
        return Comparer(self.model, engine, self.outputs, end=self.end)

    def of_tail(self) -> "Trial":
        """The same of the pipeline's last estimator alone."""
        compiled = msgspec.structs.replace(self.compiled, steps=())
        return msgspec.structs.replace(self, model=Tail(compiled.tail), compiled=compiled)

    def around_splits(self, base: Floats) -> Straddling:
        """Rows for the last estimator."""
        return around_splits(
            self.compiled.trees,
            self.compiled.prepared(base),
            np.random.default_rng(0),
            missing=self.engine.takes_missing,
        )


class Choice(msgspec.Struct, frozen=True):
    """An engine, and the model that answers by it; None where that is the model itself."""

    engine: Engine
    model: AcceleratedModel | None


def choose(model: LoadedModel, description: Description) -> Choice:
    """Compile the model, compare, measure; whatever fails, the model stays native and the reason is said."""
    try:
        return _choose(model, description)
    except CannotCompile as reason:
        return _native(f"It stays native: {reason}.")
    except Exception as error:  # noqa: BLE001  a converter's own faults must not cost the model its place
        return _native(f"It stays native: compiling it failed ({type(error).__name__}).")


def rebuild(model: LoadedModel, signature: Signature, engine: Engine) -> Choice:
    """The engine that an earlier verdict chose, built without comparing again; native where that fails."""
    try:
        compiled = compile_estimator(model.fitted, len(signature.inputs))
    except Exception as error:  # noqa: BLE001  native answers as well
        return _native(f"The engine {engine.name} could not be built again ({type(error).__name__}).")
    if compiled.engine != engine.name:
        return _native(f"The engine {engine.name} is no longer the one for this model.")
    return Choice(engine, AcceleratedModel(model, compiled, engine))


def _choose(model: LoadedModel, description: Description) -> Choice:
    signature = description.signature
    if signature.layout is not Layout.MATRIX:
        raise CannotCompile("only models that take a matrix of numbers are compiled")
    if model.fitted is None:
        raise CannotCompile("its own library answers for a file of this format")
    if signature.main.name != "label":
        raise CannotCompile("only models that predict are compiled")
    outputs = [output.name for output in signature.outputs if output.name in ANSWERED]
    compiled = compile_estimator(model.fitted, len(signature.inputs))
    if not compiled.offers(outputs):
        raise CannotCompile("no engine gives its probabilities")
    base = np.asarray(description.rows, np.float64)
    missing = compiled.takes_missing and _takes_missing(model, base)
    spread = spread_rows(base, np.random.default_rng(0), missing=missing)
    engine = Engine(name=compiled.engine, why="", takes_missing=missing)
    trial = Trial(
        model=model,
        compiled=compiled,
        engine=engine,
        outputs=outputs,
        rows=spread,
        end=time.monotonic() + COMPARE_S,
    )
    engine = _compared(trial)
    accelerated = AcceleratedModel(model, compiled, engine)
    timing = measure(
        lambda rows: model.predict(rows, outputs),
        lambda rows: accelerated.predict(rows, outputs),
        spread[accelerated.answered_here(spread)],
        seconds=MEASURE_S,
    )
    return _decided(model, compiled, engine, timing)


def _compared(trial: Trial) -> Engine:
    """The engine with what the comparison found; what it does not answer alike may be left to the model.

    Raises:
        CannotCompile: it does not answer alike all the same.
    """
    refusal = CannotCompile()
    for engine in _ever_humbler(trial.engine, ties=trial.compiled.offers((PROBABILITIES,))):
        try:
            return _compare(msgspec.structs.replace(trial, engine=engine))
        except CannotCompile as reason:
            refusal = reason
    raise refusal


def _ever_humbler(engine: Engine, *, ties: bool) -> Iterator[Engine]:
    """The engine as it is, then without ties, then also without missing values."""
    yield engine
    if ties:
        engine = msgspec.structs.replace(engine, tie_margin=2 * TOLERANCE)
        yield engine
    if engine.takes_missing:
        yield msgspec.structs.replace(engine, takes_missing=False)


def _compare(trial: Trial) -> Engine:
    comparer = trial.comparer()
    comparer.compare(trial.rows)
    if not trial.compiled.trees:
        comparer.compare(comparer.borders(trial.rows))
        return _described(trial.engine, comparer.result, "")
    around = trial.around_splits(trial.rows[comparer.engine.answered_here(trial.rows)])
    part = trial.of_tail().comparer()
    part.compare(around.rows)
    note = f" around {around.tried:,} of {around.splits:,} splits"
    return _described(trial.engine, comparer.result.joined(part.result), note)


def _described(engine: Engine, result: Comparison, note: str) -> Engine:
    if not result.rows:
        raise CannotCompile("there was no time to compare it")
    exact = "the same to the last bit" if not result.largest else f"differences up to {result.largest:.1g}"
    cut = "" if result.complete else ", until time ran out"
    margin = max(_LEAST_MARGIN, _MARGIN_FACTOR * result.largest) if result.largest else 0.0
    return msgspec.structs.replace(
        engine,
        why=f"Its answers are the model's ({exact}) on {result.rows:,} rows{note}{cut}.",
        rows_compared=result.rows,
        tie_margin=max(engine.tie_margin, margin),
    )


def _decided(model: LoadedModel, compiled: Compiled, engine: Engine, timing: Timing) -> Choice:
    if not timing.wins_to:
        slower = Engine(name=NATIVE, why=f"The engine {engine.name} is not faster.", speed_up=timing.speed_up)
        return Choice(slower, None)
    chosen = msgspec.structs.replace(
        engine, speed_up=timing.speed_up, native_above_rows=timing.native_above_rows
    )
    return Choice(chosen, AcceleratedModel(model, compiled, chosen))


def _takes_missing(model: LoadedModel, base: Floats) -> bool:
    """Whether the estimator itself answers rows with gaps."""
    gaps = np.where(np.eye(base.shape[1], dtype=bool), np.nan, base[:1])
    try:
        model.predict(gaps, ["label"])
    except Exception:  # noqa: BLE001  it does not
        return False
    return True


def _native(why: str) -> Choice:
    return Choice(Engine(name=NATIVE, why=why), None)
