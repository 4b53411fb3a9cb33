"""What the body of a predict request asks for, whatever form it came in."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.predictions.rows import ReadRows

KEY_MAX_LENGTH: Final = 256
OUTPUTS_MAX: Final = 16  # named in one request, the same one several times included
OUTPUT_NAME_MAX_LENGTH: Final = 256

StickyKey = Annotated[str, Meta(max_length=KEY_MAX_LENGTH)]
VersionNumber = Annotated[int, Meta(ge=1)]
# Which there are, the version's signature says.
OutputNames = Annotated[
    tuple[Annotated[str, Meta(max_length=OUTPUT_NAME_MAX_LENGTH)], ...], Meta(max_length=OUTPUTS_MAX)
]


class V2Output(msgspec.Struct, frozen=True):
    """An output that a client of the Open Inference Protocol wants back.

    Attributes:
        name: as the client spelled it.
        source: which of the model's outputs it is.
        binary: it wants raw bytes behind the JSON, not numbers within.
    """

    name: str
    source: str
    binary: bool


class V2Asked(msgspec.Struct, frozen=True):
    """What the reply to a client of the Open Inference Protocol depends on."""

    id: str | None
    outputs: tuple[V2Output, ...]


class PredictBody(msgspec.Struct, frozen=True):
    """Rows to predict, and what is wanted of them.

    Attributes:
        single: one row was sent as such, and is answered as such.
        version: the number of the version asked for.
        outputs: which of the model's outputs are wanted, in order.
        key: requests of one key go to the same version.
        v2: the body was one of the Open Inference Protocol, and so must be the answer.
    """

    rows: ReadRows
    single: bool
    version: int | None
    outputs: tuple[str, ...]
    key: str | None
    v2: V2Asked | None = None
