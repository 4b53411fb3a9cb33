"""A host is not believed: what it answers must fit what it was asked."""

import struct

import msgspec
import numpy as np
import pytest

from shared.catalog.verdict import Column, Datatype, Layout, Output, Probe, Signature, Verdict
from workers.host.protocol import (
    Array,
    BadFrame,
    Failed,
    Frames,
    Loaded,
    Predict,
    Predicted,
    decode_request,
    encode,
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
    return received(conversation, b"".join(frame(message, body)))


def answered_raw(conversation, message: bytes):
    return received(conversation, struct.pack("<II", len(message), 0) + message + bytes(-len(message) % 8))


def received(conversation, data: bytes) -> list:
    """What comes of the bytes, in such pieces as they fit."""
    outcomes = []
    while data:
        space = conversation.space()
        piece, data = data[: len(space)], data[len(space) :]
        space[: len(piece)] = piece
        outcomes += conversation.received(len(piece))
    return outcomes


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


def wide(conversation, *shape: int) -> Predict:
    """A call of two rows to a model that says to answer so many numbers for each."""
    signature = Signature(
        inputs=[Column(name="x0", datatype=Datatype.FP64)],
        named=False,
        layout=Layout.MATRIX,
        outputs=[Output(name="label", datatype=Datatype.FP64, shape=list(shape))],
    )
    load = sent(conversation.load(sample=False, signature=signature))
    answered(conversation, Loaded(load.id, Verdict(status="ready", signature=signature)))
    return asked(conversation, outputs=None)


@pytest.mark.parametrize("shape", [(), (500,), (500, 20), (2, 50, 100)])
def test_a_long_answer_that_fits_is_the_prediction(conversation, shape):
    call = wide(conversation, *shape)
    values = [(np.ones(shape) * row / 3).tolist() for row in (1, 2)]
    if not shape:
        values = ["a" * 200_000, None]

    (prediction,) = answered(conversation, Predicted(call.id, 5, {"label": values}, []))

    assert prediction.outputs["label"] == values


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((), [[], [[]] * 400_000]),
        ((2**20,), [[[]] * 400_000, []]),
        ((2, 2**20), [[[]] * 400_000, []]),
        ((2, 2, 2), [[[[]] * 400_000], []]),
        ((), [None] * 400_000),
        ((), []),
    ],
    ids=["in a scalar", "in a row", "in a table", "deep down", "rows", "names"],
)
def test_an_answer_that_grows_as_it_is_decoded_is_refused(conversation, shape, values):
    """A byte of it may be an object of sixty: it must be refused before it is one."""
    call = wide(conversation, *shape)
    outputs = {"label": values} if values else {f"n{number}": [] for number in range(100_000)}

    with pytest.raises(BadFrame):
        answered(conversation, Predicted(call.id, 5, outputs, []))


def test_more_than_a_call_can_give_is_refused_before_it_is_received(conversation):
    call = asked(conversation)
    data = struct.pack("<II", 2 * 1024 * 1024, 0)
    conversation.space()[: len(data)] = data

    with pytest.raises(BadFrame):
        list(conversation.received(len(data)))
    assert call.rows == 2


def test_a_host_that_nobody_asked_says_nothing_not_even_the_beginning_of_a_word(conversation):
    conversation.space()[:1] = b"\0"

    with pytest.raises(BadFrame):
        list(conversation.received(1))


def test_arrays_are_told_in_few_words(conversation):
    call = asked(conversation)
    arrays = [Array("label", "<f8", [2] + [1] * 100_000, False, 0)]

    with pytest.raises(BadFrame):
        answered(conversation, Predicted(call.id, 5, {}, arrays), [FLOATS])


def test_no_answer_took_longer_than_the_call(conversation):
    call = asked(conversation)

    (prediction,) = answered(conversation, Predicted(call.id, 2**62, {"label": ["a", "b"]}, []))

    assert prediction.compute_ns < 60e9


def test_a_verdict_nested_past_all_bounds_is_refused(conversation):
    load = sent(conversation.load(sample=False, signature=None))
    deep = b"\x91" * 100_000 + b"\x90"
    whole = encode(Loaded(load.id, Verdict(status="ready")))
    data = msgspec.msgpack.decode(whole)
    data[2]["signature"] = {
        "inputs": [], "named": False, "layout": "matrix", "outputs": [], "classes": [msgspec.Raw(deep)],
    }  # fmt: skip

    with pytest.raises(BadFrame):
        answered_raw(conversation, msgspec.msgpack.encode(data))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_verdict_that_could_not_be_read_again_is_refused(conversation, number):
    load = sent(conversation.load(sample=False, signature=None))

    with pytest.raises(BadFrame):
        answered(
            conversation,
            Loaded(load.id, Verdict(status="rejected", probe=Probe(rows=1, latency_us=number))),
        )


def test_an_array_past_its_place_in_shared_memory_is_refused(conversation):
    rows = 20_000
    call = asked(conversation, rows=rows, matrix=[bytes(8 * rows)], reply_as="arrays")
    assert call.in_slot

    with pytest.raises(BadFrame):
        answered(conversation, Predicted(call.id, 5, {}, [Array("label", "<f8", [rows], True, 64)]))


def test_memory_that_is_shared_with_a_host_is_counted(conversation):
    before = sum(slot.taken_bytes() for slot in conversation.slots)

    asked(conversation, matrix=[b"x" * 1_000_000])

    assert (before, sum(slot.taken_bytes() for slot in conversation.slots) >= 1_000_000) == (0, True)


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
