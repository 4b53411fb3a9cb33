"""What a model host says of an artifact: the words that hosts, workers and the API share.

Names of datatypes are those of the Open Inference Protocol, version 2.
"""

from enum import StrEnum
from typing import Any, Literal

import msgspec

NATIVE = "native"  # the engine that every model has: its own library


class Datatype(StrEnum):
    """The type of a column or of an output."""

    BOOL = "BOOL"
    INT64 = "INT64"
    FP64 = "FP64"
    FP32 = "FP32"  # half the bytes of FP64: for images and the like
    BYTES = "BYTES"  # text, in UTF-8


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a model.

    Attributes:
        name: as the model was trained on it, or `x0`, `x1`, … where it was trained on a bare array.
        shape: of one row's value: `[]` a scalar, `[28, 28]` a list of 28 lists of 28 numbers.
        example: a value that the model takes, for the example request.
    """

    name: str
    datatype: Datatype
    shape: list[int] = []
    example: Any = 0.0


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a model.

    Attributes:
        name: of scikit-learn's models `label`, `probabilities`, `scores`, `transformed`; of those that
            predict several labels `probabilities_0`, `probabilities_1`, … in place of `probabilities`.
        shape: of one row: `[]` a scalar, `[k]` k numbers.
        classes: that each of its numbers is the probability of, or pairs of them that it is the score of,
            where the signature's are not those.
    """

    name: str
    datatype: Datatype
    shape: list[int] = []
    classes: list[Any] | None = None


class Layout(StrEnum):
    """How a model takes its rows."""

    MATRIX = "matrix"  # one array of 64-bit floats, shape (rows, columns)
    TABLE = "table"  # a pandas DataFrame: columns are selected by name, or not all are numbers
    TENSORS = "tensors"  # an array an input, by name, each of shape (rows, *its shape)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes and gives.

    Attributes:
        inputs: in the order that the model was trained on.
        outputs: the main one first, which is the prediction.
        named: the model knows its columns by name; otherwise values count by their order.
        classes: of a classifier, in the order of its probabilities.
    """

    inputs: list[Column]
    named: bool
    layout: Layout
    outputs: list[Output]
    classes: list[Any] | None = None

    @property
    def main(self) -> Output:
        """The output that is answered where none is asked for by name."""
        return self.outputs[0]


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A library that the artifact was made with: its version there, and here."""

    artifact: str | None  # None where the file does not say
    installed: str | None  # None where it is not installed


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """A name that a pickle in the artifact imports.

    Attributes:
        standing: `allowed`: on the list of what models need; `dangerous`: known to run or reach whatever
            its arguments say; `unknown`: neither.
    """

    module: str
    name: str
    standing: Literal["allowed", "unknown", "dangerous"]


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact is, as far as reading it tells: nothing in it was run.

    Attributes:
        format: found by content: joblib, pickle, onnx.
        runtime: which of workers/host/runtimes opens it.
        unpacked_bytes: of the file, where it is compressed or an archive.
        imports: of the pickles in it, the most telling first; the first 500.
        imports_count: how many there are in all.
        libraries: that it was made with, there and here, as far as the file tells.
        warnings: for its owner.
        needs: the distributions (as PyPI names them) that it takes beyond what every environment has, and
            other versions of those; each with the version that the file tells, or None.
        requirements: lines of a requirements file that came in it.
        runs_code: opening it runs what its author wrote, as pickles do. False only for formats that cannot:
            those are opened even where no sandbox can be had.
        hides_code: some of that is in no list of imports: a class of its author's, a pickle that only the
            library itself can read.
    """

    format: str
    runtime: str
    unpacked_bytes: int | None = None
    imports: list[Import] = []
    imports_count: int = 0
    libraries: dict[str, Library] = {}
    warnings: list[str] = []
    needs: dict[str, str | None] = {}
    requirements: list[str] = []
    runs_code: bool = True
    hides_code: bool = False


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why an artifact was rejected, for its owner.

    Attributes:
        code: snake_case, stable.
        message: what is wrong.
        remedy: what to do about it.
    """

    code: str
    message: str
    remedy: str


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A first prediction, to see that the model answers."""

    rows: int
    latency_us: float  # median of several calls


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What computes a version's answers: the estimator itself, or the form that it was compiled to.

    Attributes:
        name: `native`, `linear`, `onnxruntime` or `treelite`; of a job's host `walker`.
        why: it was chosen, or why nothing faster was.
        speed_up: how many times as fast as native, by rows of a call (`1`, `64`).
        rows_compared: on how many rows its answers were compared with native's.
        takes_missing: it answers rows with NaN; otherwise those are native's.
        tie_margin: rows whose two best probabilities lie closer than this are native's.
        native_above_rows: calls of more rows are native's, which is faster there; None: it never is.
    """

    name: str
    why: str
    speed_up: dict[str, float] = {}
    rows_compared: int = 0
    takes_missing: bool = False
    tie_margin: float = 0.0
    native_above_rows: int | None = None

    @property
    def compiled(self) -> bool:
        """Whether it is another than the estimator itself."""
        return self.name != NATIVE


class EnvironmentRef(msgspec.Struct, frozen=True, kw_only=True):
    """The libraries that a version is served with.

    Attributes:
        id: of an environment of its own, by which every worker builds the same; None: the platform's.
        packages: versions of Python and of the main libraries, by the names of their distributions.
    """

    id: str | None = None
    packages: dict[str, str] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of opening an artifact. Part of its version, and readable by its owner.

    Attributes:
        unpacked_bytes: of the file, where it is compressed or an archive.
        imports: names that the pickles in it import, the most telling first; the first 500.
        imports_count: how many there are in all.
        engine: what computes real-time answers; None where nothing else than native was looked for.
        told: all of this in sentences, for people.
        deterministic: the same rows got the same answers each time they were tried.
        environment: that its hosts run in; None where nothing but the platform's was there yet.
    """

    status: Literal["ready", "rejected"]
    format: str | None = None  # found by content: joblib, pickle
    runtime: str | None = None  # which of workers/host/runtimes serves it: sklearn
    estimator: str | None = None  # the model's class
    unpacked_bytes: int | None = None
    imports: list[Import] = []
    imports_count: int = 0
    libraries: dict[str, Library] = {}
    environment: EnvironmentRef | None = None
    signature: Signature | None = None
    load_time_ms: float | None = None
    memory_bytes: int | None = None  # by which the model made its host grow
    probe: Probe | None = None
    engine: Engine | None = None
    deterministic: bool = False
    warnings: list[str] = []
    reason: Reason | None = None
    told: list[str] = []

    @property
    def usual_call_s(self) -> float | None:
        """What the probe's call took; None where there was none."""
        return None if self.probe is None else self.probe.latency_us / 1e6


def engine_to_load(engine: Engine | None, *, accelerate: bool) -> Engine | None:
    """The engine to load a version with: its verdict's, unless its owner has switched engines off."""
    return engine if accelerate and engine is not None and engine.compiled else None
