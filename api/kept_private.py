"""Answers to a cookie are for one browser.

Of answers to `Authorization` shared caches know that by themselves (RFC 9111, section 3.5).
"""

from typing import Final

from litestar.types import Message, Send

_CACHE: Final = b"cache-control"
_PRIVATE: Final = (_CACHE, b"private, no-cache")


def kept_private(send: Send) -> Send:
    """Have what is answered with a tag, so that it may be stored, stored by the browser alone."""

    async def send_private(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            if b"etag" in names and _CACHE not in names:
                message["headers"] = [*message["headers"], _PRIVATE]
        await send(message)

    return send_private
