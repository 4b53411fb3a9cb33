"""Fetches an input that lies elsewhere into storage, as the first part of planning its job."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial

import structlog

from shared.errors import TooLarge
from shared.jobs.claims import StepClaim
from shared.jobs.errors import InputRefused, InputTooLarge, InputUnreachable
from shared.jobs.fetched_input import FetchedInput
from shared.jobs.input_address import InputAddress, RemoteInput
from shared.jobs.input_format import SNIFFED_BYTES, recognise
from shared.jobs.job import fetched_key
from shared.jobs.options import output_like
from shared.settings import Settings
from shared.storage.object_files import Written
from shared.storage.store import Storage
from workers.jobs.bucket_transfer import object_pieces
from workers.jobs.holding import StopSign
from workers.jobs.http_transfer import HttpTransfer, Restarted

MAX_RESTARTS = 3
LOOK_S = 0.25  # between two looks at the sign while nothing comes

# Slower than this, once it had its time to begin, a server would hold a worker for next to nothing.
LEAST_BYTES_PER_S = 16 * 1024
BEGINNING_S = 60.0

log = structlog.get_logger()


async def fetch_input(
    settings: Settings, storage: Storage, claim: StepClaim, *, sign: StopSign
) -> FetchedInput | None:
    """The input, once it is in storage and it is known what it is. None: it was there before.

    Safe to repeat: the key is this claim's alone.

    Raises:
        CallerError: it cannot be had, may not be fetched, or is of no format that is read here.
        InputUnreachable: not now.
        Stopped: the sign is shown.
    """
    remote = claim.order.remote
    if remote is None:
        return None
    remote.address.check(settings, tenant_id=remote.tenant_id)
    key = fetched_key(claim.job_id, fence=claim.fence)
    started = time.monotonic()
    written = await _stored(settings, storage, remote, key=key, sign=sign)
    log.info(
        "input_fetched",
        job_id=str(claim.job_id),
        address=remote.address.shown(),
        size_bytes=written.size_bytes,
        took_s=round(time.monotonic() - started, 3),
    )
    return await _recognised(storage, remote, key=key, written=written)


async def _stored(
    settings: Settings, storage: Storage, remote: RemoteInput, *, key: str, sign: StopSign
) -> Written:
    source, watch = _source(settings, remote.address), Watch(settings.fetch_timeout_s, sign)
    for _ in range(MAX_RESTARTS + 1):
        pieces = source()
        try:
            async with aclosing(pieces), aclosing(watch.over(pieces)) as watched:
                return await storage.write(key, watched, max_bytes=settings.job_max_bytes)
        except Restarted:
            continue
        except TooLarge:
            raise InputTooLarge(settings.job_max_bytes) from None
    raise InputUnreachable("the server broke off in the middle, and cannot go on from there")


def _source(settings: Settings, address: InputAddress) -> Callable[[], AsyncGenerator[bytes, None]]:
    """What gives the file from its start, each time that it is called."""
    if address.is_in_bucket:
        return partial(object_pieces, settings, address)
    return HttpTransfer(settings, address).pieces


async def _recognised(storage: Storage, remote: RemoteInput, *, key: str, written: Written) -> FetchedInput:
    end = min(SNIFFED_BYTES, written.size_bytes)
    head = b"".join([piece async for piece in storage.read(key, end=end)])
    found = recognise(head, remote.file_name, format_=remote.format, encoding=remote.encoding)
    return FetchedInput(
        key=key,
        written=written,
        format=found.format,
        encoding=found.encoding,
        output_format=remote.output_format or output_like(found.format),
    )


class Watch:
    """Ends what takes too long in all, or too long for what it brings, or is asked to stop."""

    def __init__(self, limit_s: float, sign: StopSign) -> None:
        self._limit_s, self._sign = limit_s, sign
        self._started, self._received = time.monotonic(), 0

    async def over(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The pieces as they come.

        Raises:
            InputRefused, InputUnreachable: it takes too long.
            Stopped: the sign is shown.
        """
        while True:
            piece = await self._next(pieces)
            if piece is None:
                return
            self._received += len(piece)
            yield piece

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """The next piece; None after the last."""
        coming = asyncio.ensure_future(_piece(pieces))
        try:
            while not (await asyncio.wait({coming}, timeout=LOOK_S))[0]:
                self._check()
        finally:
            coming.cancel()
            await asyncio.wait({coming})
        piece = coming.result()
        if piece is not None:
            self._check()
        return piece

    def _check(self) -> None:
        self._sign.check()
        took_s = time.monotonic() - self._started
        if took_s > self._limit_s:
            raise InputRefused(f"the file did not arrive within {self._limit_s:g} s")
        if took_s > BEGINNING_S and self._received < LEAST_BYTES_PER_S * took_s:
            raise InputUnreachable(f"the server sends fewer than {LEAST_BYTES_PER_S} bytes a second")


async def _piece(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)
