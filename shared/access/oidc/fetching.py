"""HTTP to the provider: bounded in time and in bytes, straight to the addresses that it named."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import httpx
import msgspec
import structlog

from shared.access.oidc.errors import OidcUnavailable

T = TypeVar("T")

log = structlog.get_logger()

_TIMEOUT_S = 10.0  # of one request in all
_SILENCE_S = 5.0
_MOST_BYTES = 256 * 1024  # of an answer: the keys of a large provider have some ten thousand
_OK = 200


class ProviderAnswer(msgspec.Struct, frozen=True):
    """What the provider said to one request."""

    status: int
    body: bytes


class ProviderHttp:
    """Requests to one provider. Its addresses are the operator's choice, so that private ones are fine."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Redirects are not followed and no proxy stands between: secrets go where the metadata says.
        self._client = httpx.AsyncClient(
            verify=httpx.create_ssl_context(), trust_env=False, follow_redirects=False, timeout=_SILENCE_S
        )

    async def get(self, url: str, kind: type[T], *, headers: Mapping[str, str] | None = None) -> T:
        """The JSON document at `url`.

        Raises:
            OidcUnavailable: it is not to be had.
        """
        answer = await self.ask("GET", url, headers=headers)
        if answer.status != _OK:
            raise self.unusable(f"{url} answers {answer.status}")
        return self.read(answer, kind)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> ProviderAnswer:
        """The answer to one request, whatever its status.

        Raises:
            OidcUnavailable: there is none, or it is too long.
        """
        # Unpacked, an answer may be of any size.
        plain = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._client.stream(method, url, headers=plain, data=form) as response,
            ):
                return ProviderAnswer(response.status_code, await self._body(response))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # a TimeoutError is an OSError
            raise self.unusable(f"{url}: {type(error).__name__}") from error

    def read(self, answer: ProviderAnswer, kind: type[T]) -> T:
        """The answer's JSON.

        Raises:
            OidcUnavailable: it is none, or has other fields.
        """
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.unusable(f"an answer cannot be read: {type(error).__name__}") from None

    def unusable(self, reason: str) -> OidcUnavailable:
        """The error for callers; the reason is for whoever runs the platform."""
        log.warning("provider of log-ins unusable", provider=self._name, reason=reason)
        return OidcUnavailable(f"{self._name} does not answer as it should; try again later", retry_after_s=5)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > _MOST_BYTES:
                raise self.unusable(f"{response.url.host} sends over {_MOST_BYTES} bytes")
        return bytes(body)
