"""Speaks on the host's socket in the host's place."""

import array
import contextlib
import fcntl
import gc
import os
import pickle
import socket
import struct
import sys
import time

import msgspec

SOCKET = 3
MIB = 1024 * 1024


def huge_length(planted):
    os.write(SOCKET, struct.pack("<II", 0x7FFFFFFF, 0))
    time.sleep(600)


def a_frame_that_never_ends(planted):
    """Within the limits, but a byte at a time."""
    os.write(SOCKET, struct.pack("<II", 64 * MIB, 0))
    while True:
        os.write(SOCKET, b"x")
        time.sleep(0.01)


def garbage(planted):
    os.write(SOCKET, os.urandom(4096))
    time.sleep(600)


def a_pickle(planted):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {planted.folder}/{planted.name}",)

    send(pickle.dumps(Evil()))
    time.sleep(600)


def an_answer_to_another_question(planted):
    _answer(answer_to() + 1, {"label": ["PWNED:forged"]})
    time.sleep(600)


def two_answers(planted):
    """The second may pass for the answer to the next question, which is the model's to give anyway."""
    _answer(answer_to(), {"label": ["first"]})
    _answer(answer_to() + 1, {"label": ["it answered before it was asked"]})


def an_answer_of_another_kind(planted):
    send(msgspec.msgpack.encode(["accelerated", answer_to(), {"name": "evil", "why": "PWNED"}]))
    time.sleep(600)


def other_outputs(planted):
    _answer(answer_to(), {"label": ["x"], "secret": ["PWNED:an output that nobody asked for"]})
    time.sleep(600)


def too_few_rows(planted):
    _answer(answer_to(), {"label": []})
    time.sleep(600)


def a_shape_of_nothing(planted):
    """No number at all in more places than there are numbers."""
    arrays([["label", "<f8", [1, 0, 2**62, 2**62], False, 0]])


def a_shape_of_many_dimensions(planted):
    arrays([["label", "<f8", [1] * 200, False, 0]], bytes(8))


def a_shape_past_the_end(planted):
    arrays([["label", "<f8", [1, 2**40], False, 0]], bytes(8))


def a_negative_shape(planted):
    arrays([["label", "<f8", [-1, -1], False, 0]], bytes(8))


def an_offset_before_the_start(planted):
    arrays([["label", "<f8", [1], False, -4096]], bytes(8))


def an_array_in_a_slot_without_room(planted):
    arrays([["label", "<f8", [1, 512], True, 0]])


def a_negative_time(planted):
    send(msgspec.msgpack.encode(["predicted", answer_to(), -(2**63), {"label": ["nothing"]}, []]))
    time.sleep(600)


def deep_nesting(planted):
    """An array in an array in an array, 10 million times."""
    send(b"\x91" * (10 * MIB) + b"\x90")
    time.sleep(600)


def a_list_of_four_billion(planted):
    """A length that nothing follows."""
    body = msgspec.msgpack.encode(["predicted", answer_to(), 0])[1:]
    send(b"\x95" + body + b"\x81\xa5label\xdd\xff\xff\xff\xff")
    time.sleep(600)


def lists_of_nothing(planted):
    """A byte each, and sixty once they are objects: four gigabytes for whoever decodes them."""
    rows = b"\x91\xdd" + (60 * MIB).to_bytes(4, "big") + b"\x90" * (60 * MIB)
    body = msgspec.msgpack.encode(["predicted", answer_to(), 0])[1:]
    with contextlib.suppress(OSError):
        send(b"\x95" + body + b"\x81\xa5label" + rows + b"\x90")
    time.sleep(600)


def half_a_frame_unasked(planted):
    """To be kept until the rest comes, which it never does."""
    _answer(answer_to(), {"label": ["nothing"]})
    with contextlib.suppress(OSError):
        os.write(SOCKET, struct.pack("<II", 60 * MIB, 60 * MIB))
        while True:
            os.write(SOCKET, bytes(MIB))


def a_verdict_again(planted):
    send(msgspec.msgpack.encode(["loaded", answer_to(), {"status": "ready", "warnings": ["PWNED"]}]))
    time.sleep(600)


def many_small_frames(planted):
    """Valid and short, as fast as they can be written."""
    frame = _framed(msgspec.msgpack.encode(["failed", 1, "x"]))
    with contextlib.suppress(OSError):
        for _ in range(100_000):
            os.write(SOCKET, frame)


def two_gigabytes(planted):
    """The largest frames that are allowed, one after another."""
    with contextlib.suppress(OSError):
        for _ in range(32):
            send(msgspec.msgpack.encode(["failed", answer_to(), "x" * (63 * MIB)]))


def descriptors(planted):
    """Files sent along: whoever takes them runs out of places."""
    with socket.socket(fileno=os.dup(SOCKET)) as ours:
        for _ in range(100):
            ours.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1] * 32))])
    time.sleep(600)


def read_what_is_not_said_yet(planted):
    """Take the next request away from the host that would serve it."""
    fcntl.fcntl(SOCKET, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        return f"{len(os.read(SOCKET, 65536))} bytes that were not for it"
    return None


def answer_to() -> int:
    """Of the question that is being answered: what serves it lies up the stack."""
    frame = sys._getframe()
    while frame is not None:
        asked = frame.f_locals.get("request") or frame.f_locals.get("call")
        if hasattr(asked, "id"):
            return asked.id
        frame = frame.f_back
    return next(held.id for held in gc.get_objects() if type(held).__name__ in ("Predict", "Load"))


def _answer(number: int, values: dict) -> None:
    send(msgspec.msgpack.encode(["predicted", number, 0, values, []]))


def arrays(arrays: list, body: bytes = b"") -> None:
    send(msgspec.msgpack.encode(["predicted", answer_to(), 0, {}, arrays]), body)
    time.sleep(600)


def send(message: bytes, body: bytes = b"") -> None:
    whole = memoryview(_framed(message, body))
    while whole:
        whole = whole[os.write(SOCKET, whole) :]


def _framed(message: bytes, body: bytes = b"") -> bytes:
    head = struct.pack("<II", len(message), len(body))
    return head + message + bytes(-len(message) % 8) + body + bytes(-len(body) % 8)
