"""ONNX graphs, through ONNX Runtime."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from shared.catalog.verdict import Contents, Library
from workers.host.artifact import Artifact
from workers.host.error_text import describe
from workers.host.rejection import Rejected, truncated
from workers.host.rows import row_count
from workers.host.runtimes.library import library
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.onnx_file import Broken, OnnxFile, looks_like_onnx, read_onnx
from workers.host.runtimes.onnx_inputs import GraphInput, columns_of, feeder, graph_inputs
from workers.host.runtimes.onnx_outputs import are_probabilities, as_array, joined, roles_of
from workers.host.runtimes.tabular import Inputs, TabularModel

_ERRORS_ONLY = 3
_TOO_NEW = re.compile(r"Unsupported model IR version|is under development|opset version", re.IGNORECASE)
_OPERATOR = re.compile(r"not a registered function/op|NOT_IMPLEMENTED|No Op registered", re.IGNORECASE)
_EXPORT_AGAIN = "Export the model again and check the file with `onnx.checker.check_model(path)`."

Run = Callable[[list[str], Any], list[Any]]  # the graph's outputs that are wanted, and rows


class OnnxRuntime:
    """Opens graphs that are all in one file, of ONNX's own operators and those of ONNX Runtime."""

    name = "onnx"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether its fields are those of ONNX's outermost message."""
        return looks_like_onnx(artifact.file, artifact.size_bytes)

    def read(self, artifact: Artifact) -> Contents:
        """See that it is whole, and that no tensor lies elsewhere."""
        _read(_content(artifact))
        return Contents(format="onnx", runtime=self.name, needs={"onnxruntime": None}, runs_code=False)

    def load(self, artifact: Artifact) -> "OnnxModel":
        """Build the graph."""
        content = _content(artifact)
        file = _read(content)
        session, version = _session(content, file)
        libraries = {"onnxruntime": Library(artifact=None, installed=version)}
        return OnnxModel(session, file, libraries)


class OnnxModel(TabularModel):
    """A graph; see `LoadedModel` for what its attributes mean."""

    def __init__(self, session: Any, file: OnnxFile, libraries: dict[str, Library]) -> None:
        self._graph_inputs = graph_inputs(session.get_inputs())
        self._run = _runner(session, self._graph_inputs)
        self._roles = roles_of(session.get_outputs())
        self._zipped: list[Any] | None = None  # classes that the probabilities came with
        self._file = file
        opset = file.opsets.get("", file.opsets.get("ai.onnx"))
        facts = Facts(
            format="onnx",
            estimator="ONNX graph" + (f", opset {opset}" if opset else ""),
            libraries=libraries,
            warnings=_warnings(session, self._graph_inputs, self._roles),
        )
        super().__init__(facts, self._columns, self._answers, offers=tuple(self._roles))

    def looked_at(self, answers: Answers) -> tuple[Answers, list[Any] | None]:
        """Offer probabilities only where they are some."""
        probabilities = answers.get("probabilities")
        if probabilities is None or not are_probabilities(answers["label"], probabilities):
            return {"label": answers["label"]}, None
        classes = self._zipped or self._file.classes
        return answers, classes if classes and len(classes) == probabilities.shape[1] else None

    def _columns(self, sampled: int | None) -> Inputs:
        return columns_of(self._graph_inputs, sampled)

    def _answers(self, rows: Any, outputs: Sequence[str]) -> Answers:
        found = self._run([self._roles[name] for name in outputs], rows)
        for answer in found:
            if isinstance(answer, list) and answer and isinstance(answer[0], dict):
                self._zipped = list(answer[0])
        return {name: as_array(answer) for name, answer in zip(outputs, found, strict=True)}


def _runner(session: Any, inputs: Sequence[GraphInput]) -> Run:
    feed = feeder(inputs)

    def run(names: list[str], rows: Any) -> list[Any]:
        found: list[Any] = session.run(names, feed(rows))
        return found

    def run_each(names: list[str], rows: Any) -> list[Any]:
        fed, count = feed(rows), row_count(rows)
        each = [
            session.run(names, {name: values[at : at + 1] for name, values in fed.items()})
            for at in range(count)
        ]
        return joined(each)

    return run_each if any(one.batch for one in inputs) else run


def _warnings(session: Any, inputs: Sequence[GraphInput], roles: dict[str, str]) -> list[str]:
    warnings = []
    if any(one.batch for one in inputs):
        warnings.append("The graph takes one row at a time, so that many rows take long.")
    unused = [output.name for output in session.get_outputs() if output.name not in roles.values()]
    if unused:
        warnings.append(f"Only its first output is the prediction; not offered: {', '.join(unused[:10])}.")
    return warnings


def _content(artifact: Artifact) -> bytes:
    artifact.file.seek(0)
    content = artifact.file.read()
    artifact.file.seek(0)
    return content


def _read(content: bytes) -> OnnxFile:
    try:
        file = read_onnx(content)
    except Broken as error:
        raise truncated() from error
    if file.external:
        raise Rejected(
            "external_data",
            "Some of the model's weights lie in other files, which did not come with it.",
            "Save it in one file: `onnx.save_model(model, 'model.onnx', save_as_external_data=False)`.",
        )
    return file


def _session(content: bytes, file: OnnxFile) -> tuple[Any, str]:
    """ONNX Runtime's session, and its version; one thread, no memory held in stock, no telemetry.

    Raises:
        Rejected: it cannot build the graph.
    """
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = _ERRORS_ONLY
    for entry in ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning"):
        options.add_session_config_entry(entry, "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never its own binary format
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _refusal(describe(error), file, onnxruntime.__version__) from error
    return session, onnxruntime.__version__


def _refusal(what: str, file: OnnxFile, version: str) -> Rejected:
    if _OPERATOR.search(what):
        return Rejected(
            "operator_unknown",
            f"The graph uses an operator that ONNX Runtime {version} does not have: {what}.",
            "Export the model with ONNX's own operators; operators of one's own are not loaded here.",
        )
    if _TOO_NEW.search(what):
        opsets = ", ".join(f"{name or 'ai.onnx'} {opset}" for name, opset in file.opsets.items())
        return Rejected(
            "onnx_too_new",
            f"ONNX Runtime {version} does not read IR version {file.ir_version} with the opsets {opsets}.",
            "Export it with an older `target_opset` (skl2onnx) or `opset_version` (PyTorch), say 17.",
        )
    return Rejected("load_failed", f"ONNX Runtime cannot build the graph: {what}.", _EXPORT_AGAIN)
