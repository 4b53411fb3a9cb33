"""A Redis of our own: one process, a private socket, data in an append-only file."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from redis import exceptions
from redis.asyncio import Redis

from deploy.local.binaries import redis_program
from deploy.local.command import Command, basic_environment
from deploy.local.folders import own_folder, socket_folder
from deploy.local.readiness import until_answers

# What was answered is in the file, in the kernel's cache at least: killing the server loses nothing. A power
# cut may cost the last second, which is made good: messages are hints, Postgres is the truth. `always`
# would buy that second with a disk flush in every prediction.
KEPT = ("appendonly yes", "appendfsync everysec", "no-appendfsync-on-rewrite yes")
FORGOTTEN = ("appendonly no",)


class RedisServer:
    """The server whose data are in `home`."""

    def __init__(self, home: Path, *, password: str, durability: Sequence[str] = KEPT) -> None:
        self._home = home.absolute()
        self._password = password
        self._durability = durability
        self._socket = socket_folder(home) / "redis.sock"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"unix://:{self._password}@{quote(str(self._socket))}"

    def prepare(self) -> None:
        """Make its folders and write its configuration, which holds the password and so is private."""
        own_folder(self._home)
        own_folder(self._socket.parent)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text("\n".join(self._directives()) + "\n")

    def command(self) -> Command:
        """How to start it, after `prepare`."""
        return Command(
            name="redis",
            argv=[str(redis_program()), str(self._configuration)],
            env=basic_environment(),
            stop_signal=signal.SIGTERM,
        )

    async def wait_until_ready(self, is_alive: Callable[[], bool]) -> None:
        """Wait until it answers; loading its file may take a while."""
        client = Redis.from_url(self.url)
        not_yet = (exceptions.ConnectionError, exceptions.TimeoutError)  # loading is one of the first
        try:
            await until_answers("Redis", client.ping, not_yet=not_yet, is_alive=is_alive, timeout_s=120)
        finally:
            await client.aclose()

    @property
    def _configuration(self) -> Path:
        return self._home / "redis.conf"

    def _directives(self) -> list[str]:
        return [
            "port 0",
            f'unixsocket "{self._socket}"',
            "unixsocketperm 700",
            f"requirepass {self._password}",
            f'dir "{self._home}"',
            'save ""',
            "maxmemory-policy noeviction",
            "loglevel warning",
            *self._durability,
        ]
