"""A file by HTTP, in pieces: redirects followed and each checked, and taken up again where it breaks off."""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

import httpx
import msgspec

from shared.jobs.errors import InputChanged, InputRefused, InputTooLarge, InputUnreachable
from shared.jobs.input_address import InputAddress, InputUrlRefused
from shared.outbound.connections import Connections, LookUp, look_up
from shared.settings import Settings

MAX_REDIRECTS = 5
CONNECT_S = 10.0
# Between two tries in a row that bring nothing; after the last the attempt at the job has failed.
PAUSES_S = (0.5, 1.0, 2.0, 4.0)

_RETRIED = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)", re.ASCII)


class Restarted(Exception):
    """The server cannot go on where it broke off: whatever came so far is to be forgotten."""


class Copy(msgspec.Struct, frozen=True):
    """Which state of the file is being fetched, as its server tells it.

    Attributes:
        validator: a strong ETag, or the time of the last change; None: nothing tells two states apart.
        size_bytes: None where the server does not say.
    """

    validator: str | None
    size_bytes: int | None


class HttpTransfer:
    """Fetches one file.

    What came is passed on at once and never unpacked: a server may send what is built to burst.
    """

    def __init__(
        self,
        settings: Settings,
        address: InputAddress,
        *,
        look_up: LookUp = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings, self._address = settings, address
        self._connections = Connections(
            allow_private=settings.allow_private_inputs,
            timeout=httpx.Timeout(settings.fetch_silence_s, connect=CONNECT_S),
            look_up=look_up,
            tls=tls,
        )
        self._copy: Copy | None = None
        self._position = 0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The file from its start. May be asked for again after Restarted, and only then.

        Raises:
            Restarted: forget the pieces, and begin again.
            InputRefused, InputChanged, InputTooLarge, InputUrlRefused, AddressRefused: it cannot be had.
            InputUnreachable: not now.
        """
        failures = 0
        while True:
            before = self._position
            try:
                async with aclosing(self._rest()) as rest:
                    async for piece in rest:
                        self._position += len(piece)
                        yield piece
                return
            except (httpx.TransportError, OSError, InputUnreachable) as error:
                failures = 1 if self._position > before else failures + 1
                if failures > len(PAUSES_S):
                    raise InputUnreachable(_sentence(error)) from error
            await asyncio.sleep(PAUSES_S[failures - 1])

    async def _rest(self) -> AsyncGenerator[bytes, None]:
        if self._position and (self._copy is None or self._copy.validator is None):
            self._begin_again()
        async with self._answer() as response:
            self._check(response)
            async for piece in response.aiter_raw():
                yield piece

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[httpx.Response]:
        """The answer at the end of the redirects, the address checked before each."""
        url = httpx.URL(self._address.url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._connections.request("GET", url, headers=self._headers()) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                url = self._redirected(url, response.headers["location"])
        raise InputRefused(f"the server redirects more than {MAX_REDIRECTS} times")

    def _redirected(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)  # of what is no URL the client has said so
        try:
            InputAddress(str(target)).check_web(self._settings)
        except InputUrlRefused as error:
            raise InputRefused(f"the server redirects to where nothing is fetched from: {error}") from None
        return target

    def _headers(self) -> dict[str, str]:
        headers = {"user-agent": "Modelyard-Jobs/1.0", "accept": "*/*", "accept-encoding": "identity"}
        if self._position and self._copy and self._copy.validator:
            headers |= {"range": f"bytes={self._position}-", "if-range": self._copy.validator}
        return headers

    def _check(self, response: httpx.Response) -> None:
        """Whether what follows is the file, or the rest of it."""
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _RETRIED:
            raise InputUnreachable(f"the server answered {status}")
        if self._position and status == HTTPStatus.PARTIAL_CONTENT:
            return self._check_rest(response)
        if self._position and status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise InputChanged("the file became shorter while it was fetched")
        if status != HTTPStatus.OK:
            raise InputRefused(f"the server answered {status}")
        copy = Copy(_validator(response), _length(response))
        if self._position:
            self._check_same(copy)
            self._begin_again()
        self._check_size(copy.size_bytes)
        self._copy = copy
        return None

    def _check_rest(self, response: httpx.Response) -> None:
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != self._position:
            self._begin_again()
        whole = None if found is None or found[2] == "*" else int(found[2])
        self._check_same(Copy(_validator(response), whole))
        self._check_size(whole)

    def _check_same(self, copy: Copy) -> None:
        """Whether it is still the state of the file whose beginning was fetched."""
        first = self._copy or copy
        pairs = ((first.validator, copy.validator), (first.size_bytes, copy.size_bytes))
        if any(one is not None and other is not None and one != other for one, other in pairs):
            raise InputChanged("the file was replaced while it was fetched")

    def _check_size(self, size_bytes: int | None) -> None:
        if size_bytes is not None and size_bytes > self._settings.job_max_bytes:
            raise InputTooLarge(self._settings.job_max_bytes)

    def _begin_again(self) -> None:
        self._position, self._copy = 0, None
        raise Restarted


def _validator(response: httpx.Response) -> str | None:
    """What `If-Range` compares: weak ETags do not say that the bytes are the same (RFC 9110, 13.1.5)."""
    etag: str = response.headers.get("etag", "")
    changed: str | None = response.headers.get("last-modified")
    return etag if etag.startswith('"') else changed


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _sentence(error: Exception) -> str:
    """For the job's owner. What libraries say may hold the address, and is kept out."""
    match error:
        case InputUnreachable():
            return str(error)
        case httpx.ConnectTimeout() | httpx.ConnectError():
            return "no connection to the server could be made" + (
                ": its certificate was not accepted" if "CERTIFICATE_VERIFY" in str(error) else ""
            )
        case httpx.TimeoutException():
            return "the server fell silent"
        case httpx.TransportError():
            return "the server broke off in the middle, again and again"
    return "the server's name could not be looked up"
