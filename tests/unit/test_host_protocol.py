"""Frames between a supervisor and its hosts."""

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.verdict import Verdict
from workers.host.protocol import (
    MAX_BODY_BYTES,
    BadFrame,
    Failed,
    Frames,
    Loaded,
    decode_request,
    encode,
    frame,
)
from workers.hosting.answers import decoded


def fed(frames: Frames, data: bytes, piece: int) -> list[tuple[bytes, bytes]]:
    """All frames that come of the data, given in pieces of at most so many bytes."""
    found = []
    at = 0
    while at < len(data):
        space = frames.space()
        part = data[at : at + min(piece, len(space))]
        space[: len(part)] = part
        frames.received(len(part))
        at += len(part)
        while (parts := frames.next()) is not None:
            found.append((bytes(parts[0]), bytes(parts[1])))
    return found


@given(
    st.lists(st.tuples(st.text(max_size=40), st.lists(st.binary(max_size=300), max_size=3)), max_size=6),
    st.integers(1, 5000),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(given_frames, piece):
    data = b"".join(b"".join(frame(Failed(7, text), body)) for text, body in given_frames)

    found = fed(Frames(), data, piece)

    assert found == [(encode(Failed(7, text)), b"".join(body)) for text, body in given_frames]


def test_a_frame_larger_than_the_buffer_comes_out_whole():
    body = bytes(range(256)) * 8192  # 2 MB

    found = fed(Frames(), b"".join(frame(Failed(1, "a"), [body])) * 2, 100_000)

    assert [part for _, part in found] == [body, body]


@pytest.mark.parametrize("text", ["", "a", "abcdefg", "abcdefgh"])
def test_numbers_in_a_body_lie_aligned(text):
    frames = Frames()
    data = b"".join(frame(Failed(1, text), [bytes(24)]))
    frames.space()[: len(data)] = data
    frames.received(len(data))

    _, body = frames.next()

    assert np.frombuffer(body, np.float64).flags.aligned


@pytest.mark.parametrize("lengths", [(0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (0, MAX_BODY_BYTES + 1)])
def test_lengths_that_no_honest_peer_sends_are_refused(lengths):
    with pytest.raises(BadFrame):
        fed(Frames(), struct.pack("<II", *lengths), 8)


def test_too_large_a_body_is_not_sent():
    with pytest.raises(BadFrame):
        frame(Failed(1, ""), [bytes(MAX_BODY_BYTES), b"x"])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        encode({"type": "predicted"}),
        encode(["predicted", 1]),
        encode(["failed", 1, "a", "more"]),
    ],
)
def test_a_message_of_another_shape_is_refused(message):
    with pytest.raises(BadFrame):
        decoded(memoryview(message))


def test_answers_are_no_requests():
    with pytest.raises(msgspec.ValidationError):
        decode_request(encode(Loaded(1, Verdict(status="ready"))))
