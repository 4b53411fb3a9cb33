"""What is said to one host, and what it may answer: without I/O, for both drivers."""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from math import prod
from typing import cast

from msgspec import ValidationError
from msgspec.json import decode as decode_json
from msgspec.json import encode as encode_json

from shared.catalog.verdict import Contents, Engine, Reason, Signature, Verdict
from workers.host import protocol
from workers.host.error_text import shown
from workers.host.protocol import (
    Accelerate,
    Accelerated,
    Attempt,
    Attempted,
    BadFrame,
    Buffer,
    Failed,
    Frames,
    Inspect,
    Inspected,
    Kind,
    Load,
    Loaded,
    Predict,
)
from workers.hosting.answers import Answer, Answered, Asked, decoded, prediction_from
from workers.hosting.arena import Slot, make_slots
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.errors import ModelFailed

_VERDICT_BYTES = 4 * 1024 * 1024  # some fifty thousand columns
_NUL = rb"\u0000"
_TEXT_BYTES = 64 * 1024  # of one text in an answer, which may come to a megabyte in all events
_SPARE_BYTES = 1024 * 1024
_MOST_ROOM_BYTES = 1024**3  # that is made for a reply; what a verdict says of its size may be made up

Outcome = Contents | Reason | Verdict | Engine | Prediction | ModelFailed | Attempted


class Conversation:
    """Makes the frames of requests, and checks that each answer fits the oldest request.

    Every answer is distrusted: its id, its kind, the names, numbers, types and places of its
    outputs. What does not fit raises BadFrame, and the host must be killed.
    """

    def __init__(self) -> None:
        self.slots = make_slots()
        self._frames = Frames()
        self._next_id = int.from_bytes(os.urandom(6), "big")  # not to be guessed from the last host's
        self._asked: deque[Asked] = deque()
        self._signature: Signature | None = None

    @property
    def outstanding(self) -> int:
        """Requests that wait for their answer."""
        return len(self._asked)

    def inspect(self, *, unpacked_bytes: int) -> list[Buffer]:
        """The frame that asks what is in an artifact."""
        return protocol.frame(Inspect(self._ask_for_no_rows(), unpacked_bytes))

    def load(
        self,
        *,
        sample: bool,
        signature: Signature | None,
        engine: Engine | None = None,
        may_run_code: bool = True,
        unpacked_bytes: int | None = None,
        many_rows: bool = False,
    ) -> list[Buffer]:
        """The frame that asks to open an artifact."""
        self._signature = signature
        request = Load(
            self._ask_for_no_rows(),
            sample,
            signature,
            engine,
            may_run_code,
            unpacked_bytes=unpacked_bytes,
            many_rows=many_rows,
        )
        return protocol.frame(request)

    def attempt(self, secret: str | None, memory_bytes: int) -> list[Buffer]:
        """The frame that asks to try to get out of the cell."""
        return protocol.frame(Attempt(self._ask_for_no_rows(), secret, memory_bytes))

    def accelerate(self) -> list[Buffer]:
        """The frame that asks to look for a faster engine."""
        return protocol.frame(Accelerate(self._ask_for_no_rows()))

    def slot(self, size_bytes: int) -> memoryview:
        """The area of the next call's input."""
        return self._free_slot().area(size_bytes)[:size_bytes]

    def predict(self, call: PredictCall) -> list[Buffer]:
        """The frame that asks for a prediction."""
        slot = self._free_slot()
        kind, body = _input_of(call)
        size = call.slot.size_bytes if call.slot else sum(map(len, body))
        inline = call.slot is None and size <= protocol.INLINE_BYTES
        reply_at = 0 if inline else (size + 63) & ~63
        outputs = self._outputs(call)
        reply_bytes = self._reply_bytes(call, outputs)
        if reply_bytes or not inline:
            area = slot.area(reply_at + reply_bytes)
            if not inline and call.slot is None:
                _fill(area, body)
        shapes = self._shapes(outputs)
        most = _SPARE_BYTES + _TEXT_BYTES * call.rows * sum(map(_size, shapes.values()))
        asked = Asked(
            self._take_id(),
            call.rows,
            outputs,
            slot,
            reply_at,
            reply_bytes,
            most_bytes=min(most, protocol.MAX_MESSAGE_BYTES),
            shapes=shapes,
            at_ns=time.monotonic_ns(),
        )
        message = Predict(
            asked.id,
            call.rows,
            list(outputs),
            kind,
            self.slots.index(slot),
            not inline,
            size,
            call.reply_as == "arrays",
            reply_at,
            reply_bytes,
        )
        self._asked.append(asked)
        return protocol.frame(message, body if inline else ())

    def space(self) -> memoryview:
        """Where to receive the next bytes."""
        return self._frames.space()

    def received(self, count: int) -> Iterator[Outcome]:
        """The outcomes, in the order of the requests, that `count` more bytes complete.

        Raises:
            BadFrame: the host says what no honest host says.
        """
        self._frames.received(count)
        while self._frames.held:
            if not self._asked:
                raise BadFrame("an answer that nobody asked for")
            parts = self._frames.next(self._asked[0].most_bytes)
            if parts is None:
                return
            yield self._outcome(*parts)

    def close(self) -> None:
        """Let go of the slots."""
        for slot in self.slots:
            slot.close()

    def _ask_for_no_rows(self) -> int:
        asked = Asked(
            self._take_id(),
            0,
            (),
            None,
            0,
            0,
            most_bytes=_VERDICT_BYTES,
            shapes={},
            at_ns=time.monotonic_ns(),
        )
        self._asked.append(asked)
        return self._next_id

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _free_slot(self) -> Slot:
        if len(self._asked) >= protocol.SLOTS:
            raise RuntimeError(f"a host takes {protocol.SLOTS} calls at a time")
        return self.slots[(self._next_id + 1) % protocol.SLOTS]

    def _outputs(self, call: PredictCall) -> Sequence[str]:
        if call.outputs is not None:
            return call.outputs
        if self._signature is None:
            raise RuntimeError("a host has no main output before it has opened a model")
        return (self._signature.main.name,)

    def _reply_bytes(self, call: PredictCall, outputs: Sequence[str]) -> int:
        """Room for the reply's arrays, where they are too large for the socket."""
        if call.reply_as == "values":
            return 0
        widths = map(_size, self._shapes(outputs).values())
        size = sum((call.rows * width * 8 + 63) & ~63 for width in widths)
        return size if protocol.INLINE_BYTES < size <= _MOST_ROOM_BYTES else 0

    def _shapes(self, outputs: Sequence[str]) -> dict[str, Sequence[int]]:
        """Of a row of each output."""
        known = {output.name: output.shape for output in self._signature.outputs} if self._signature else {}
        return {name: known.get(name, ()) for name in outputs}

    def _outcome(self, message: memoryview, body: memoryview) -> Outcome:
        asked = self._asked.popleft()
        answer = _answer_to(asked, message)
        match answer:
            case Failed():
                return ModelFailed(shown(answer.message))
            case Inspected() if asked.slot is None and (answer.contents is None) != (answer.reason is None):
                return answer.contents or cast("Reason", answer.reason)
            case Loaded() if asked.slot is None and _is_whole(answer.verdict):
                self._signature = answer.verdict.signature
                return answer.verdict
            case Accelerated() if asked.slot is None:
                return answer.engine
            case Attempted() if asked.slot is None:
                return answer
            case Answered() if asked.slot is not None:
                return prediction_from(answer, body, asked)
        raise BadFrame("an answer of the wrong kind")


def _answer_to(asked: Asked, message: memoryview) -> Answer:
    answer = decoded(message)
    if answer.id != asked.id:
        raise BadFrame("an answer to another question")
    if asked.slot is None:
        _refuse_unstorable(answer)
    return answer


def _refuse_unstorable(answer: Answer) -> None:
    """What is told of an artifact is stored as JSON, and must be the same when it is read again."""
    stored = encode_json(answer)
    if _NUL in stored:
        raise BadFrame("a verdict with a character that PostgreSQL cannot store")
    try:
        decode_json(stored, type=type(answer))
    except (ValidationError, RecursionError) as error:
        raise BadFrame("a verdict with a number that JSON has not") from error


def _size(shape: Sequence[int]) -> int:
    """Values in a row of this shape; none where it is no shape."""
    return max(0, prod(shape))


def _is_whole(verdict: Verdict) -> bool:
    """Whether a model that is ready says what it takes and gives."""
    signature = verdict.signature
    return verdict.status != "ready" or (signature is not None and bool(signature.outputs))


def _input_of(call: PredictCall) -> tuple[Kind, Sequence[Buffer]]:
    """How the call's rows are written, and the bytes where they are not in the slot already."""
    if call.slot is not None:
        return call.slot.kind, ()
    if call.matrix is not None:
        return "matrix", call.matrix
    if call.tensors is not None:
        return "tensors", call.tensors
    return "columns", (protocol.encode(call.columns),)


def _fill(area: memoryview, body: Sequence[Buffer]) -> None:
    at = 0
    for buffer in body:
        area[at : at + len(buffer)] = buffer
        at += len(buffer)
