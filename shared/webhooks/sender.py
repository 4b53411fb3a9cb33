"""Sends one attempt over HTTP, to an address that was checked and to no other.

A name is looked up once. The addresses found are judged, and the connection is made to one of them
by its number: a name server that answers differently a moment later changes nothing.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import msgspec

from shared.errors import CallerError
from shared.settings import Settings
from shared.webhooks.addresses import may_connect
from shared.webhooks.callback_url import check_callback_url, host_of
from shared.webhooks.delivery import Attempt, Outcome
from shared.webhooks.retry_after import retry_after_s
from shared.webhooks.signing import signed_headers

MAX_ANSWER_BYTES = 1024
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


class Sender:
    """Posts signed events. Each attempt has a connection of its own, so that receivers share none."""

    def __init__(
        self, settings: Settings, *, look_up: LookUp = look_up, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._look_up = look_up
        self._tls = tls or httpx.create_ssl_context()

    async def send(self, attempt: Attempt) -> Outcome:
        """Make the attempt and say what came of it: whatever a receiver does is an outcome, no error."""
        started = time.monotonic()
        outcome = await self._outcome(attempt)
        return msgspec.structs.replace(outcome, latency_ms=round((time.monotonic() - started) * 1000))

    async def _outcome(self, attempt: Attempt) -> Outcome:
        limit_s = self._settings.webhook_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._post(attempt)
        except TimeoutError:
            return Outcome(error=f"no whole answer within {limit_s:g} s")
        except (httpx.TransportError, OSError, CallerError) as error:
            return Outcome(error=f"{type(error).__name__}: {error}")

    async def _post(self, attempt: Attempt) -> Outcome:
        check_callback_url(attempt.url, self._settings)
        url = httpx.URL(attempt.url)
        addresses = await self._checked_addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, url, attempt)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], url, attempt)

    async def _checked_addresses(self, url: httpx.URL) -> Addresses:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = list(dict.fromkeys(await self._look_up(host_of(url), port)))[:MAX_ADDRESSES]
        allow_private = self._settings.allow_private_webhooks
        if not all(may_connect(address, allow_private=allow_private) for address in addresses):
            raise AddressRefused
        return addresses

    async def _post_to(self, address: IPv4Address | IPv6Address, url: httpx.URL, attempt: Attempt) -> Outcome:
        """Connect to `address`, and speak to it as the host that the URL names."""
        async with (
            self._client() as client,
            client.stream(
                "POST",
                url.copy_with(host=str(address)),
                content=attempt.body,
                headers=_headers(attempt) | {"host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": host_of(url)},
            ) as response,
        ):
            return await _read_outcome(response)

    def _client(self) -> httpx.AsyncClient:
        # No proxy out of the environment: it would connect to addresses that nobody checked.
        timeout = httpx.Timeout(None, connect=self._settings.webhook_timeout_s / MAX_ADDRESSES)
        return httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=timeout)


def _headers(attempt: Attempt) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": "Modelyard-Webhooks/1.0",
        "accept-encoding": "identity",
        **signed_headers(
            attempt.secret,
            webhook_id=str(attempt.delivery_id),
            sent_at=attempt.attempted_at,
            body=attempt.body,
        ),
    }


async def _read_outcome(response: httpx.Response) -> Outcome:
    return Outcome(
        status_code=response.status_code,
        error=None if response.is_success else f"the receiver answered {response.status_code}",
        answer=await _first_bytes(response),
        retry_after_s=retry_after_s(response.headers),
    )


async def _first_bytes(response: httpx.Response) -> str:
    """The first of the answer's bytes, never unpacked: an answer may be built to burst."""
    first = b""
    async for piece in response.aiter_raw():
        first += piece
        if len(first) >= MAX_ANSWER_BYTES:
            break
    # PostgreSQL keeps no NUL in text.
    return first[:MAX_ANSWER_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
