"""Forges the verdict on itself, while it is opened: what the worker and the owner will believe."""

import os

import msgspec

from tests.attacks.deeds.frames import MIB, answer_to, send

COLUMN = {"name": "x0", "datatype": "FP64"}
OUTPUT = {"name": "label", "datatype": "FP64"}


def a_huge_output(planted):
    """Room for it would be made at the next call."""
    _judge(outputs=[OUTPUT | {"shape": [2**40]}])


def an_output_of_negative_size(planted):
    _judge(outputs=[OUTPUT | {"shape": [-5]}])


def a_million_columns(planted):
    _judge(inputs=[COLUMN | {"name": f"x{at}"} for at in range(400_000)])


def the_same_column_twice(planted):
    _judge(inputs=[COLUMN, COLUMN])


def no_outputs(planted):
    _judge(outputs=[])


def no_signature(planted):
    send(msgspec.msgpack.encode(["loaded", answer_to(), {"status": "ready"}]))
    os._exit(0)


def words_of_its_own(planted):
    """What the owner reads, and perhaps a browser shows or a terminal obeys."""
    _judge(estimator="<script>alert(1)</script>\x1b[2J\x00", warnings=["\x00"])


def sixty_megabytes_of_warnings(planted):
    _judge(warnings=["x" * MIB] * 60)


def numbers_that_are_none(planted):
    _judge(load_time_ms=float("nan"), memory_bytes=-1, probe={"rows": -1, "latency_us": float("-inf")})


def an_engine_of_its_own(planted):
    _judge(engine={"name": "../../evil", "why": "\x1b[2J", "native_above_rows": -1})


def _judge(**claims) -> None:
    signature = {
        "inputs": claims.pop("inputs", [COLUMN, COLUMN | {"name": "x1"}]),
        "named": False,
        "layout": "matrix",
        "outputs": claims.pop("outputs", [OUTPUT]),
    }
    verdict = {"status": "ready", "signature": signature} | claims
    send(msgspec.msgpack.encode(["loaded", answer_to(), verdict]))
    os._exit(0)
