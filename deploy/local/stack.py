"""The processes that make up the platform on one machine: started in order, stopped in order."""

import asyncio
import os
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from deploy.local import given_servers, welcome
from deploy.local.child import Child
from deploy.local.console import Console
from deploy.local.environment import kept_secrets, platform_environment
from deploy.local.errors import CannotStart
from deploy.local.folders import home_for, own_folder
from deploy.local.postgres import PostgresServer, server_account
from deploy.local.preflight import check_port
from deploy.local.procfile import RELEASE, entry_command, form, read_procfile
from deploy.local.readiness import ask_readiness
from deploy.local.records import Records
from deploy.local.redis import RedisServer
from shared.settings import Settings

_LAUNCHER = "modelyard"  # the name on our own lines
_STOP_ORDER = {"api": 0, "scheduler": 2, "redis": 3, "postgres": 4}
_WORKERS = 1  # whatever else the Procfile names
_PATIENCE_S = 15.0  # how long we wait for readiness before we say what is missing


class Stack:
    """Everything that `make run` runs, with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        entries = read_procfile()
        self._release = entries[RELEASE]
        self._entries = form(entries, os.environ.get("FORMATION", ""))
        self._console = Console([_LAUNCHER, "postgres", "redis", RELEASE, *self._entries])
        self._records = Records(folder / "processes.json")
        self._children: list[Child] = []
        self._folder = folder
        secrets = kept_secrets(folder / "secrets.json")
        self._postgres = PostgresServer(
            home_for(folder / "postgres", server_account()), password=secrets.postgres_password
        )
        self._redis = RedisServer(folder / "redis", password=secrets.redis_password)
        self._environment = platform_environment(
            {
                "DATABASE_URL": self._postgres.url(),
                "REDIS_URL": self._redis.url,
                "STORAGE_URL": f"file://{quote(str(own_folder(folder / 'storage')))}",
                "SECRET_KEY": secrets.secret_key,
                "MAIL_URL": f"file://{quote(str(folder.absolute() / 'logs' / 'mail'))}",
            }
        )
        self._settings = Settings.from_env(self._environment)

    async def start(self) -> None:
        """Start everything, and return when the platform is ready.

        Raises:
            OperatorError: something is in the way.
        """
        self._look_around()
        if os.environ.get("STORAGE_URL"):
            await given_servers.check_storage(self._settings.storage_url)
        await self._start_postgres()
        await self._start_redis()
        await self._run_release()
        for name, argv in self._entries.items():
            self._keep(Child(entry_command(name, argv, self._environment), self._console, self._records))
        await self._become_ready()
        self._console.show(welcome.text(self._settings, self._folder))

    async def stop(self) -> None:
        """Stop what runs: first what takes requests, last what keeps the data."""
        if self._children:
            self._say("stopping")
        for phase in sorted({_stop_phase(child) for child in self._children}):
            await asyncio.gather(*(child.stop() for child in self._children if _stop_phase(child) == phase))

    async def kill(self) -> None:
        """End everything at once."""
        self._say("killing everything")
        await asyncio.gather(*(child.kill() for child in self._children))

    def _look_around(self) -> None:
        if swept := self._records.sweep():
            self._say(f"swept up what an earlier run had left: {', '.join(swept)}")
        check_port(self._settings.host, self._settings.port)

    async def _start_postgres(self) -> None:
        if os.environ.get("DATABASE_URL"):
            await given_servers.check_postgres(self._settings.database_url)
        else:
            await self._start_server(self._postgres)

    async def _start_redis(self) -> None:
        if os.environ.get("REDIS_URL"):
            await given_servers.check_redis(self._settings.redis_url)
        else:
            await self._start_server(self._redis)

    async def _start_server(self, server: PostgresServer | RedisServer) -> None:
        await asyncio.to_thread(server.prepare)
        child = self._keep(Child(server.command(), self._console, self._records, prepare=server.prepare))
        try:
            await server.wait_until_ready(lambda: child.is_hopeful)
        except CannotStart as error:
            raise CannotStart(f"{error}: {child.last_line}" if child.last_line else str(error)) from error

    async def _run_release(self) -> None:
        child = Child(entry_command(RELEASE, self._release, self._environment), self._console, self._records)
        self._children.append(child)
        if code := await child.run_to_end():
            raise CannotStart(f"the release step ended with exit code {code}: {child.last_line}")

    def _keep(self, child: Child) -> Child:
        self._children.append(child)
        child.start()
        return child

    async def _become_ready(self) -> None:
        """Wait until the API, if any, says that it is ready; say now and then what it is waiting for."""
        await asyncio.gather(*(child.started.wait() for child in self._children))
        if "api" not in self._entries:
            return
        clock = asyncio.get_running_loop().time
        next_word_at = clock() + _PATIENCE_S
        while (
            answer := await ask_readiness(self._settings.host, self._settings.port)
        ).status != HTTPStatus.OK:
            self._give_up_if_hopeless()
            if clock() > next_word_at:
                self._say(f"not ready yet: {answer.text}")
                next_word_at = clock() + _PATIENCE_S
            await asyncio.sleep(0.2)

    def _give_up_if_hopeless(self) -> None:
        for child in self._children:
            if not child.is_hopeful:
                raise CannotStart(f"{child.name} does not start: {child.last_line or 'it printed nothing'}")

    def _say(self, line: str) -> None:
        self._console.say(_LAUNCHER, line)


def _stop_phase(child: Child) -> int:
    entry = child.name.partition(".")[0]
    return _STOP_ORDER.get(entry, _WORKERS)
