"""The bytes of one request, cut into pieces that are stored one after the other."""

import asyncio
import time
from collections.abc import AsyncIterator

from shared.errors import MalformedRequest, PlatformError, TooLarge
from shared.uploads.errors import UploadStalled

PIECE_S = 30.0  # a piece is stored after so long, however slowly its bytes come
SILENCE_S = 60.0  # a sender that is silent for so long is taken for gone


class Incoming:
    """A body on its way. That it breaks off, or is too long, is told after what came before is stored.

    Attributes:
        failure: why it ended before its end; None if it did not.
    """

    def __init__(self, content: AsyncIterator[bytes], *, most_bytes: int) -> None:
        self._content, self._left = content, most_bytes
        self._waiting, self._ended = b"", False
        self.failure: PlatformError | None = None

    async def has_more(self) -> bool:
        """Whether there are more bytes, once that is known."""
        while not self._waiting and not self._ended:
            await self._receive()
        return bool(self._waiting)

    async def piece(self, size_bytes: int) -> AsyncIterator[bytes]:
        """The next bytes, up to so many."""
        until = time.monotonic() + PIECE_S
        while size_bytes and time.monotonic() < until and await self.has_more():
            taken, self._waiting = self._waiting[:size_bytes], self._waiting[size_bytes:]
            size_bytes -= len(taken)
            yield taken

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout(SILENCE_S):
                self._accept(await anext(self._content))
        except StopAsyncIteration:
            self._ended = True
        except TimeoutError:
            self._fail(UploadStalled(f"no byte came for {SILENCE_S:.0f} s: go on with another request"))
        except MalformedRequest as error:
            self._fail(error)

    def _accept(self, content: bytes) -> None:
        self._left -= len(content)
        if self._left < 0:
            self._fail(TooLarge("the body goes on behind the last byte that the upload may have"))
        else:
            self._waiting = content

    def _fail(self, error: PlatformError) -> None:
        self._ended, self.failure = True, error
