"""ONNX Runtime, held to one thread and to silence."""

from typing import Any

import numpy as np

from workers.host.engines.compiled import CannotCompile, Scores

ENGINE = "onnxruntime"
INPUT = "rows"
OUTPUT = "scores"
_ERRORS_ONLY = 3


def scores_of(graph: bytes, *, output: str = OUTPUT) -> Scores:
    """The scores that a graph computes, from 64-bit rows.

    Raises:
        CannotCompile: ONNX Runtime is not installed.
    """
    session = _session(graph)
    names, run = [output], session._sess.run  # noqa: SLF001  what `run` calls, less 1 us of looking at the names

    def scores(rows: Any) -> Any:
        return run(names, {INPUT: rows}, None)[0]

    return scores


def _session(graph: bytes) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415  may be missing; the template has imported it where it is not
    except ImportError as error:
        raise CannotCompile("ONNX Runtime is not installed here") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def as_doubles(scores: Scores) -> Scores:
    """The same, in 64 bits."""
    return lambda rows: np.asarray(scores(rows), np.float64)
