"""Answers calls: by the model itself, or by the engine that stands in for it."""

import time
from typing import Protocol

import numpy as np

from shared.catalog.verdict import Layout, Signature
from workers.host.engines.accelerated import AcceleratedModel
from workers.host.protocol import Buffer, Predict, Predicted, frame
from workers.host.replies import reply
from workers.host.rows import RowReader
from workers.host.runtimes.runtime import Answering as Predicting
from workers.host.verdict import Opened


class Answering(Protocol):
    """Makes the frame that answers a call."""

    def answer(self, call: Predict, source: memoryview, area: memoryview) -> list[Buffer]:
        """Predict the rows in `source`; large arrays of the answer go into `area`."""


def answering_of(opened: Opened) -> Answering:
    """How an opened model answers."""
    signature, model = opened.verdict.signature, opened.model
    if signature is None or model is None:
        raise TypeError("only a model that was opened answers")
    reader = RowReader(signature, model.none_columns)
    if opened.walking is not None:
        return _Plain(opened.walking, reader)
    if opened.accelerated is None or signature.layout is not Layout.MATRIX:
        return _Plain(model, reader)
    return _Fast(opened.accelerated, signature, _Plain(opened.accelerated, reader))


class _Plain:
    """Any rows, any outputs."""

    def __init__(self, model: Predicting, reader: RowReader) -> None:
        self._model, self._reader = model, reader

    def answer(self, call: Predict, source: memoryview, area: memoryview) -> list[Buffer]:
        rows = self._reader.read(call, source)
        started = time.perf_counter_ns()
        outputs = self._model.predict(rows, call.outputs)
        return reply(call, outputs, time.perf_counter_ns() - started, area)


class _Fast:
    """A matrix to values, which is what real-time calls are, with nothing done that can be left out."""

    def __init__(self, model: AcceleratedModel, signature: Signature, plain: _Plain) -> None:
        self._values, self._plain = model.values, plain
        self._columns = len(signature.inputs)

    def answer(self, call: Predict, source: memoryview, area: memoryview) -> list[Buffer]:
        if call.arrays or call.kind != "matrix":
            return self._plain.answer(call, source, area)
        rows = np.frombuffer(source, np.float64).reshape(call.rows, self._columns)
        started = time.perf_counter_ns()
        values = self._values(rows, call.outputs)
        return frame(Predicted(call.id, time.perf_counter_ns() - started, values, []))
