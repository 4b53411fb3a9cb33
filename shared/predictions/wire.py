"""What travels between an API process and a predict worker, in MessagePack.

A stream entry carries the requests that one turn of an API's event loop gathered for a version: the field
`t` says where replies go, each field `r` is a request. A reply list item holds every reply that one model
call gave to one API process. Structs travel as arrays: names would be half the bytes.
"""

from collections.abc import Iterable

import msgspec
import structlog

log = structlog.get_logger()

REPLY_TO_FIELD = b"t"
REQUEST_FIELD = b"r"
MAX_ENTRY_ROWS = 256  # an entry is taken by one worker whole: a larger one would be shared badly


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One prediction request.

    Attributes:
        id: chosen by the API process that waits for the reply.
        budget_ms: how long the caller still waited when this was written. The entry's own id carries the
            time of writing by Redis's clock, so that no two machines need to agree on a clock.
        rows: how many the body holds.
        outputs: which of the model's outputs are wanted, in order.
        body: Layout.MATRIX: 64-bit floats, little endian, row by row. Layout.TABLE: a MessagePack list
            of columns, each a list of values, None where one is missing. Layout.TENSORS: see `tensors`.
    """

    id: int
    budget_ms: int
    rows: int
    outputs: tuple[str, ...]
    body: bytes


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why there is no prediction; `code` is one of shared.predictions.errors."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to one request: outputs by name, each a list with an item a row, or a failure.

    Attributes:
        compute_us: of the model's call, which other requests may have shared.
        queue_us: from the entry's writing to the begin of that call.
    """

    id: int
    outputs: dict[str, list[object]] | None
    failure: Failure | None = None
    compute_us: int = 0
    queue_us: int = 0


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_replies = msgspec.msgpack.Decoder(list[Reply]).decode
decode_columns = msgspec.msgpack.Decoder(list[list[object]]).decode


class Withdrawn(msgspec.Struct, frozen=True, array_like=True):
    """Requests of one API process for which nobody waits any more."""

    reply_to: str
    ids: list[int]


decode_withdrawn = msgspec.msgpack.Decoder(Withdrawn).decode


def readable_replies(item: bytes) -> list[Reply]:
    """The replies in an item of a reply list; none where another release, or somebody else, wrote it."""
    try:
        return decode_replies(item)
    except msgspec.MsgspecError as error:
        log.warning("replies not understood", error=str(error))
        return []


def join_tables(bodies: Iterable[bytes]) -> list[list[object]]:
    """The columns of several requests' bodies (Layout.TABLE), joined into those of one model call."""
    tables = [decode_columns(body) for body in bodies]
    return [[value for part in parts for value in part] for parts in zip(*tables, strict=True)]
