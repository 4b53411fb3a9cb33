"""What a worker and its template say to each other: one message a packet, over the control socket."""

import msgspec

from workers.host.cell.layers import Layers


class Fork(msgspec.Struct, frozen=True, array_like=True, tag="fork"):
    """Ask the template for a host. Its socket and its slots come as descriptors."""

    memory_bytes: int  # that it may have for itself


class Forked(msgspec.Struct, frozen=True, array_like=True, tag="forked"):
    """A host runs; its pidfd comes as a descriptor."""

    host: int  # the template's own count: process ids come back
    pid: int


class AskEnd(msgspec.Struct, frozen=True, array_like=True, tag="ask_end"):
    """Ask the template how a host ended."""

    host: int


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """How a host ended. A message of its own follows: a newline, then the last that the model printed."""

    status: int | None  # None: it runs, or nobody knows


class AskPrinted(msgspec.Struct, frozen=True, array_like=True, tag="ask_printed"):
    """Ask the template what a host has printed, running or ended, after the first `since` bytes."""

    host: int
    since: int


class PrintedSoFar(msgspec.Struct, frozen=True, array_like=True, tag="printed_so_far"):
    """How much a host has printed. A message of its own follows: a newline, then what is kept of the new."""

    count: int  # bytes in all


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The template has imported everything, and knows what cells it can make."""

    layers: Layers


decode_template_request = msgspec.msgpack.Decoder(Fork | AskEnd | AskPrinted).decode
decode_template_answer = msgspec.msgpack.Decoder(Ready | Forked | Ended | PrintedSoFar).decode
