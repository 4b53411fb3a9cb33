"""Which predictions are the same one."""

import hashlib
from collections.abc import Sequence
from typing import Final

from shared.predictions.rows import ReadRows
from shared.predictions.wire import encode

DIGEST_BYTES: Final = 16


def canonical(rows: ReadRows, outputs: Sequence[str], artifact_digest: str) -> bytes:
    """A digest that two requests share if, and only if, the same artifact is asked the same of the same rows.

    Every reader puts equal rows into equal bytes: NaN is always the same NaN. Negative zero is not zero: a
    model could tell them apart.

    Args:
        artifact_digest: of the version's artifact; its content alone decides what it predicts.
    """
    # MessagePack says how long each part is, so that no two different questions read the same.
    question = hashlib.blake2b(encode((artifact_digest, outputs, rows.rows)), digest_size=DIGEST_BYTES)
    question.update(rows.body)
    return question.digest()
