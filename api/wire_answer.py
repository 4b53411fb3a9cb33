"""A whole answer as bytes (RFC 9112), for what is answered without an ASGI call."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


def wire_answer(
    status: int,
    fields: Sequence[tuple[bytes, bytes]],
    body: bytes,
    *,
    request_id: str,
    block: bytes,
    keep_alive: bool,
) -> bytes:
    """The answer.

    Args:
        block: further header lines, each with its end.
    """
    lines: list[bytes] = [_STATUS_LINES[status]]
    for name, value in fields:
        lines += (name, b": ", value, b"\r\n")
    lines.append(block)
    lines.append(b"x-request-id: %s\r\ncontent-length: %d\r\n" % (request_id.encode(), len(body)))
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    lines += (b"\r\n", body)
    return b"".join(lines)
