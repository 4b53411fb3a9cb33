"""A host is not believed: what it answers must fit what it was asked."""

import pytest

from shared.catalog.verdict import Verdict
from workers.host.protocol import (
    Array,
    BadFrame,
    Failed,
    Frames,
    Loaded,
    Predict,
    Predicted,
    decode_request,
    frame,
)
from workers.hosting.call import PredictCall
from workers.hosting.conversation import Conversation
from workers.hosting.errors import ModelFailed

FLOATS = bytes(8 * 100)


@pytest.fixture
def conversation():
    conversation = Conversation()
    yield conversation
    conversation.close()


def sent(buffers) -> Predict:
    frames, data = Frames(), b"".join(buffers)
    frames.space()[: len(data)] = data
    frames.received(len(data))
    return decode_request(frames.next()[0])


def asked(conversation, **options) -> Predict:
    """A call of two rows that waits for its answer."""
    call = {"rows": 2, "matrix": [bytes(16)], "outputs": ("label",)} | options
    return sent(conversation.predict(PredictCall(**call)))


def answered(conversation, message, body=()):
    data = b"".join(frame(message, body))
    conversation.space()[: len(data)] = data
    return list(conversation.received(len(data)))


def test_values_that_fit_are_the_prediction(conversation):
    call = asked(conversation)

    (prediction,) = answered(conversation, Predicted(call.id, 5, {"label": ["a", "b"]}, []))

    assert (prediction.outputs, prediction.compute_ns) == ({"label": ["a", "b"]}, 5)
    assert conversation.outstanding == 0


def test_an_error_is_of_its_call(conversation):
    call = asked(conversation)

    (error,) = answered(conversation, Failed(call.id, "ValueError: no"))

    assert isinstance(error, ModelFailed)
    assert str(error) == "ValueError: no"


def test_an_answer_that_nobody_asked_for_is_refused(conversation):
    with pytest.raises(BadFrame):
        answered(conversation, Predicted(1, 5, {"label": ["a", "b"]}, []))


@pytest.mark.parametrize(
    "answer",
    [
        lambda id_: Predicted(id_ + 1, 5, {"label": ["a", "b"]}, []),
        lambda id_: Predicted(id_, 5, {"label": ["a"]}, []),
        lambda id_: Predicted(id_, 5, {"label": ["a", "b", "c"]}, []),
        lambda id_: Predicted(id_, 5, {}, []),
        lambda id_: Predicted(id_, 5, {"label": [1, 2], "other": [1, 2]}, []),
        lambda id_: Loaded(id_, Verdict(status="ready")),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [], False, 0)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [-2], False, 0)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [2], False, -8)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [2], False, 800 - 8)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [2, 2**40], False, 0)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [2, 2**62, 2**62], False, 0)]),
        lambda id_: Predicted(id_, 5, {}, [Array("label", "<f8", [2], True, 0)]),
    ],
)
def test_an_answer_that_does_not_fit_its_call_is_refused(conversation, answer):
    call = asked(conversation)

    with pytest.raises(BadFrame):
        answered(conversation, answer(call.id), [FLOATS])


def test_an_array_past_its_place_in_shared_memory_is_refused(conversation):
    rows = 20_000
    call = asked(conversation, rows=rows, matrix=[bytes(8 * rows)], reply_as="arrays")
    assert call.in_slot

    with pytest.raises(BadFrame):
        answered(conversation, Predicted(call.id, 5, {}, [Array("label", "<f8", [rows], True, 64)]))


def test_numbers_are_copied_out_of_shared_memory(conversation):
    rows = 20_000
    call = asked(conversation, rows=rows, matrix=[bytes(8 * rows)], reply_as="arrays")
    shared = conversation.slots[call.slot].area(0)
    shared[call.reply_at : call.reply_at + 8] = b"\x01" + bytes(7)

    (prediction,) = answered(
        conversation, Predicted(call.id, 5, {}, [Array("label", "<i8", [rows], True, 0)])
    )
    shared[call.reply_at] = 9

    assert prediction.outputs["label"][0] == 1


def test_small_rows_travel_in_the_frame_and_large_ones_beside_it(conversation):
    small = asked(conversation, matrix=[bytes(64 * 1024)])
    large = asked(conversation, matrix=[bytes(64 * 1024), b"x" * 8])

    assert (small.in_slot, large.in_slot) == (False, True)
    assert small.slot != large.slot
    assert bytes(conversation.slots[large.slot].area(0)[64 * 1024 : large.size_bytes]) == b"x" * 8
