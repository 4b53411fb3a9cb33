"""Sends one attempt over HTTP."""

import asyncio
import ssl
import time

import httpx
import msgspec

from shared.errors import CallerError
from shared.outbound.connections import MAX_ADDRESSES, Connections, LookUp, look_up
from shared.settings import Settings
from shared.webhooks.callback_url import check_callback_url
from shared.webhooks.delivery import Attempt, Outcome
from shared.webhooks.retry_after import retry_after_s
from shared.webhooks.signing import signed_headers

MAX_ANSWER_BYTES = 1024


class Sender:
    """Posts signed events. Each attempt has a connection of its own, so that receivers share none."""

    def __init__(
        self, settings: Settings, *, look_up: LookUp = look_up, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._connections = Connections(
            allow_private=settings.allow_private_webhooks,
            timeout=httpx.Timeout(None, connect=settings.webhook_timeout_s / MAX_ADDRESSES),
            look_up=look_up,
            tls=tls,
        )

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
        async with self._connections.request(
            "POST", httpx.URL(attempt.url), headers=_headers(attempt), content=attempt.body
        ) as response:
            return await _read_outcome(response)


def _headers(attempt: Attempt) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": "Modelyard-Webhooks/1.0",
        "accept-encoding": "identity",
        **signed_headers(
            attempt.secrets,
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
