"""What a request to predict says, beside its rows: model, deadline, and the body in one piece."""

from collections.abc import Mapping
from typing import Final

from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import Receive

from api.prefer import preferred_wait_s
from api.request_body import BodyCut
from shared.errors import MalformedRequest, TooLarge

MAX_WAIT_S: Final = 3600.0  # that a header may ask for; the settings allow less

Headers = Mapping[bytes, bytes]
Fields = list[tuple[bytes, bytes]]  # headers of an answer


def model_of(path: str, prefix: str) -> str:
    """The model's name or id: what follows the prefix in the path.

    Raises:
        NotFoundException: nothing, or more than one part, follows.
    """
    model = path[len(prefix) :].strip("/")
    if not model or "/" in model:
        raise NotFoundException
    return model


def check_method(method: str) -> None:
    """Let POST through.

    Raises:
        MethodNotAllowedException: it is another.
    """
    if method != "POST":
        raise MethodNotAllowedException(headers={"Allow": "POST"})


def deadline_s(headers: Headers) -> float | None:
    """How long the client will wait, by `X-Deadline-Ms` or `Prefer: wait=`; None if it does not say.

    Raises:
        MalformedRequest: the header is no number of milliseconds.
    """
    text = headers.get(b"x-deadline-ms")
    if text is not None:
        if not (text.isdigit() and len(text) <= 10 and int(text)):  # noqa: PLR2004  115 days will do
            raise MalformedRequest("X-Deadline-Ms is a whole number of milliseconds, 1 or more")
        return int(text) / 1000
    prefer = headers.get(b"prefer")
    if prefer is None:
        return None
    return preferred_wait_s(prefer.decode("latin-1"), default_s=0, most_s=MAX_WAIT_S) or None


async def read_body(receive: Receive, headers: Headers, *, max_bytes: int) -> bytes:
    """The body in one piece.

    Raises:
        TooLarge: it has more than `max_bytes`, announced or not.
        BodyCut: the client left before its end.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > max_bytes:
        raise TooLarge(f"the body has {int(announced)} bytes; up to {max_bytes} are allowed")
    pieces: list[bytes] = []
    left = max_bytes
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise BodyCut("the connection ended before the body was complete")
        pieces.append(event["body"])
        left -= len(event["body"])
        if left < 0:
            raise TooLarge(f"the body has more than the {max_bytes} bytes that are allowed")
        more = event["more_body"]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
