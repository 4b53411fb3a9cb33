"""The OpenAPI document as it is sent: made once in each process, and by a thread.

Made anew for each answer it took the event loop 25 ms, and the first of them a quarter of a second: anybody
could hold up everybody's predictions by asking for it, with no key and forty times a second.
"""

import asyncio
from collections.abc import Callable

import msgspec
from litestar.openapi.spec import OpenAPI


class OpenApiDocument:
    """Of one API process.

    Args:
        described: makes the document; takes long when it is called first.
    """

    def __init__(self, described: Callable[[], OpenAPI]) -> None:
        self._described = described
        self._made: asyncio.Future[bytes] | None = None

    async def encoded(self) -> bytes:
        """The document, in JSON. Who asks while it is made waits for it; who leaves does not end that."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._encode))
        return await asyncio.shield(self._made)

    def _encode(self) -> bytes:
        return msgspec.json.encode(self._described().to_schema())
