"""HTTP to an address that was checked and to no other.

A name is looked up once. The addresses found are judged, and the connection is made to one of them
by its number: a name server that answers differently a moment later changes nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from shared.errors import CallerError
from shared.outbound.addresses import may_connect
from shared.outbound.web_address import host_of, port_of

MAX_ADDRESSES = 3  # of one name that are tried in turn

Addresses = Sequence[IPv4Address | IPv6Address]
LookUp = Callable[[str, int], Awaitable[Addresses]]


class AddressRefused(CallerError):
    """A name leads inside. The text keeps to itself where: callers could map the network by it."""

    code = "address_refused"

    def __init__(self) -> None:
        super().__init__("the name leads to a private or reserved address")


async def look_up(host: str, port: int) -> Addresses:
    """The addresses behind a name, as this machine's resolver orders them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(address[0]) for *_, address in found]


class Connections:
    """Makes requests. Each has a connection of its own, so that the servers of two callers share none."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout: httpx.Timeout,
        look_up: LookUp = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private, self._timeout = allow_private, timeout
        self._look_up = look_up
        self._tls = tls or httpx.create_ssl_context()

    @asynccontextmanager
    async def request(
        self, method: str, url: httpx.URL, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer to one request, its body not read yet. Redirects are answers like others.

        Raises:
            AddressRefused: the name leads inside; nothing was sent.
            httpx.TransportError, OSError: nobody answers.
        """
        async with self._client() as client:
            response = await self._answer(client, method, url, headers=headers, content=content)
            try:
                yield response
            finally:
                await response.aclose()

    async def _answer(
        self,
        client: httpx.AsyncClient,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> httpx.Response:
        """Of the first address that can be connected to."""
        requests = [
            _request_to(address, client.build_request(method, url, headers=headers, content=content))
            for address in await self._checked_addresses(url)
        ]
        for request in requests[:-1]:
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await client.send(requests[-1], stream=True)

    async def _checked_addresses(self, url: httpx.URL) -> Addresses:
        addresses = list(dict.fromkeys(await self._look_up(host_of(url), port_of(url))))[:MAX_ADDRESSES]
        if not all(may_connect(address, allow_private=self._allow_private) for address in addresses):
            raise AddressRefused
        return addresses

    def _client(self) -> httpx.AsyncClient:
        # No proxy out of the environment: it would connect to addresses that nobody checked.
        return httpx.AsyncClient(
            verify=self._tls, trust_env=False, follow_redirects=False, timeout=self._timeout
        )


def _request_to(address: IPv4Address | IPv6Address, request: httpx.Request) -> httpx.Request:
    """The same request, connected to `address`, and spoken to as the host that the URL names."""
    request.extensions["sni_hostname"] = host_of(request.url)
    request.url = request.url.copy_with(host=str(address))  # the header Host keeps what the URL says
    return request
