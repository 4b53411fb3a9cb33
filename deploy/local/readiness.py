"""Waiting for a server to answer."""

import asyncio
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection, HTTPException

import msgspec

from deploy.local.errors import CannotStart


async def until_answers(
    server: str,
    ask: Callable[[], Awaitable[object]],
    *,
    not_yet: tuple[type[Exception], ...],
    is_alive: Callable[[], bool],
    timeout_s: float = 30.0,
) -> None:
    """Ask until there is an answer.

    Args:
        ask: raises one of `not_yet` as long as the server is not there.
        is_alive: whether its process still runs.

    Raises:
        CannotStart: it ended, or gave no answer within `timeout_s`.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    while True:
        try:
            await ask()
        except not_yet as error:
            if not is_alive():
                raise CannotStart(f"{server} did not start") from error
            if clock() > deadline:
                raise CannotStart(f"{server} gave no answer within {timeout_s:.0f} s: {error}") from error
            await asyncio.sleep(0.02)
        else:
            return


class Answer(msgspec.Struct, frozen=True):
    """What the API says when asked whether it is ready; status 0 when it says nothing."""

    status: int
    text: str


async def ask_readiness(host: str, port: int) -> Answer:
    """Ask the API whether the platform is ready."""
    return await asyncio.to_thread(_ask_readiness, host, port)


def _ask_readiness(host: str, port: int) -> Answer:
    # Who listens at every address is asked at this machine's own; nothing is bound here.
    connection = HTTPConnection({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))
    except (OSError, HTTPException) as error:
        return Answer(0, str(error))
    finally:
        connection.close()
