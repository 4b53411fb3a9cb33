"""One connection to Redis for the real-time path: commands out as they come, answers back in their order.

redis-py's asyncio client takes about 150 µs of CPU a command, hiredis and a protocol of our own about 10:
on the path of a prediction that is the difference. Everything else uses `shared/messaging/redis.py`.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

log = structlog.get_logger()

Answer = Any  # what Redis said; an exception where that was an error, or where the connection was lost
OnAnswer = Callable[[Answer], None]

CONNECT_TIMEOUT_S = 5.0
RETRY_PAUSE_S = 0.05  # before another attempt: to reach Redis, or to stay connected to it

# hiredis types the command as a tuple of one.
pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command


class RedisPipe(asyncio.Protocol):
    """One connection. It is opened by `connect`, and again by another `connect` once `connected` is False.

    Nothing waits here: a command's answer comes by its callback, and so does the loss of the connection.
    """

    def __init__(self, url: str, *, silence_s: float) -> None:
        """Prepare a connection to the Redis at `url`.

        Args:
            silence_s: an answer that takes longer means that the connection is dead.
        """
        self._address: dict[str, Any] = {**parse_url(url)}
        self._silence_s = silence_s
        self._transport: asyncio.Transport | None = None
        self._reader = _new_reader()
        self._awaited: deque[OnAnswer] = deque()
        self._on_message: OnAnswer | None = None
        self._heard_at = 0.0  # monotonic seconds: of the last answer, or of a command that had none before it
        self._watch: asyncio.TimerHandle | None = None
        self._open = False  # the connection is made and greeted
        self._reachable = True
        self.lost = asyncio.Event()
        self.lost.set()

    @property
    def connected(self) -> bool:
        """Whether commands can be sent."""
        return self._open

    async def connect(self) -> None:
        """Open the connection.

        Raises:
            OSError: nobody listens, or not in time.
            RedisError: Redis refuses us, or still reads its data.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._make_connection()
            for command in _greeting(self._address):
                await self._call(command, self._send)
        if self._transport is None:
            raise RedisConnectionError("the connection to Redis was lost at once")
        self._open = True

    async def stay_connected(self, on_open: Callable[[], Awaitable[None] | None]) -> None:
        """Connect, and again whenever the connection is lost; for a task of its own.

        Args:
            on_open: called with every new connection, before anybody else can send on it.
        """
        while True:
            try:
                await self.connect()
                begun = on_open()
                if begun is not None:
                    await begun
            except (RedisError, OSError) as error:
                self._note_unreachable(error)
                self.close()
            else:
                self._reachable = True
                await self.lost.wait()
            await asyncio.sleep(RETRY_PAUSE_S)

    def post(self, packed: bytes, on_answers: Iterable[OnAnswer]) -> None:
        """Send packed commands; `on_answers` has one callback for each, .

        Where the connection is lost, now or before the answer, the callback gets a ConnectionError; where
        Redis refuses the command, a ResponseError.
        """
        if self._open:
            self._send(packed, on_answers)
        else:
            _tell_all(on_answers, RedisConnectionError("not connected to Redis"))

    def listen(self, on_message: OnAnswer) -> None:
        """Have `on_message` called with what comes without a command: messages of a channel."""
        self._on_message = on_message

    def call(self, *command: Any) -> asyncio.Future[Answer]:
        """Send one command and give a future of its answer; errors are raised by it."""
        return self._call(command, self.post)

    def close(self) -> None:
        """Let go of the connection."""
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop calls this."""
        self._transport = transport  # type: ignore[assignment]  # a stream's, as asyncio gives it
        self._reader = _new_reader()
        self.lost.clear()
        self._watch_silence()

    def data_received(self, data: bytes) -> None:
        """The event loop calls this."""
        self._reader.feed(data)
        self._heard_at = time.monotonic()
        awaited = self._awaited
        while (answer := self._reader.gets()) is not False:
            on_answer = awaited.popleft() if awaited else self._on_message
            if on_answer is not None:
                _tell(on_answer, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop calls this, and `close`, whose second call finds nothing left to do."""
        self._transport = None
        self._open = False
        if self._watch is not None:
            self._watch.cancel()
        lost = RedisConnectionError(
            f"the connection to Redis was lost ({exc})" if exc else "connection closed"
        )
        while self._awaited:
            self._awaited.popleft()(lost)
        self.lost.set()

    def _send(self, packed: bytes, on_answers: Iterable[OnAnswer]) -> None:
        """Like `post`, also before the greeting is done."""
        if self._transport is None:
            _tell_all(on_answers, RedisConnectionError("the connection to Redis was lost"))
            return
        if not self._awaited:
            self._heard_at = time.monotonic()
        self._awaited.extend(on_answers)
        self._transport.write(packed)

    @staticmethod
    def _call(
        command: tuple[Any, ...], send: Callable[[bytes, Iterable[OnAnswer]], None]
    ) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        send(pack(command), (lambda given: _settle(answer, given),))
        return answer

    def _note_unreachable(self, error: Exception) -> None:
        if self._reachable:
            log.warning("redis unreachable", error=str(error) or type(error).__name__)
        self._reachable = False

    async def _make_connection(self) -> None:
        loop, address = asyncio.get_running_loop(), self._address
        if "path" in address:
            await loop.create_unix_connection(lambda: self, address["path"])
        else:
            host, port = address.get("host", "localhost"), address.get("port", 6379)
            await loop.create_connection(lambda: self, host, port, ssl=_tls(address))

    def _watch_silence(self) -> None:
        if self._awaited and time.monotonic() - self._heard_at > self._silence_s:
            self.close()
            return
        self._watch = asyncio.get_running_loop().call_later(self._silence_s / 4, self._watch_silence)


def _new_reader() -> hiredis.Reader:
    return hiredis.Reader(replyError=ResponseError)  # whoever uses redis-py beside us catches its errors


def _tell_all(on_answers: Iterable[OnAnswer], answer: Answer) -> None:
    for on_answer in on_answers:
        _tell(on_answer, answer)


def _tell(on_answer: OnAnswer, answer: Answer) -> None:
    try:
        on_answer(answer)
    except Exception:  # or the answers behind it would be lost with the connection
        log.exception("an answer of Redis was not taken")


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if future.done():  # whoever asked has left
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _greeting(address: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The commands that a new connection begins with."""
    commands: list[tuple[Any, ...]] = []
    if address.get("password"):
        user = (address["username"],) if address.get("username") else ()
        commands.append(("AUTH", *user, address["password"]))
    if address.get("db"):
        commands.append(("SELECT", address["db"]))
    commands.append(("PING",))  # refused while Redis still loads its data
    return commands


def _tls(address: dict[str, Any]) -> ssl.SSLContext | None:
    if address.get("connection_class") is not SSLConnection:
        return None
    context = ssl.create_default_context(cafile=address.get("ssl_ca_certs"))
    if address.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
