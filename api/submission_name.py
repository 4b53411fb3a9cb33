"""What a client calls a submission, so that it may send it again: a key in a header, or an id in the path."""

import re
from collections.abc import Sequence
from typing import Final

from shared.ids import parse_id
from shared.jobs.errors import InvalidIdempotencyKey, InvalidJobId
from shared.jobs.submission_mark import Name

KEY_MAX_LENGTH: Final = 255

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")
_BARE = re.compile(r"[!#-~][ -~]*")


def name_by_key(headers: Sequence[str]) -> Name | None:
    """The name that the headers `Idempotency-Key` give; None where there is none.

    The draft writes the key as a string of structured fields, in quotes; most clients send it bare. Both
    spell the same key.

    Raises:
        InvalidIdempotencyKey: it is no such string, too long, or not the only one.

    Source: draft-ietf-httpapi-idempotency-key-header-07, section 2.1; RFC 8941, section 3.3.3.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise InvalidIdempotencyKey("there is more than one header Idempotency-Key; send one")
    text = headers[0].strip()
    quoted = _QUOTED.fullmatch(text)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 1 <= len(key) <= KEY_MAX_LENGTH:
        raise InvalidIdempotencyKey(
            f"the header Idempotency-Key holds 1 to {KEY_MAX_LENGTH} printable ASCII characters, bare or in"
            " double quotes, such as a UUID"
        )
    return Name(key=key)


def name_by_id(job: str) -> Name:
    """The name that an id of the client's own choice is.

    Raises:
        InvalidJobId: it is no UUID.
    """
    client_id = parse_id(job)
    if client_id is None:
        raise InvalidJobId(job)
    return Name(client_id=client_id)
