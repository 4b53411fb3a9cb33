"""A PostgreSQL of our own: a private socket, a password, and data that survive whatever is killed."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from deploy.local import binaries
from deploy.local.command import Command, basic_environment
from deploy.local.errors import CannotStart
from deploy.local.folders import own_folder, reachable_by_all, socket_folder
from deploy.local.leftover_postgres import stop_leftover
from deploy.local.readiness import until_answers

USER = "platform"

# The same order of texts on every machine, whatever languages it has.
_INITDB = (
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
_NOT_YET = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, TimeoutError)


def server_account() -> str:
    """Whose rights the server runs with: PostgreSQL refuses to be root. Empty means ours."""
    return "nobody" if os.geteuid() == 0 else ""


class PostgresServer:
    """The server whose data are in `home`.

    Args:
        home: a folder that any user can reach when we are root, because the server is another user then.
        options: server settings, as `name=value`.
    """

    def __init__(self, home: Path, *, password: str, options: Sequence[str] = ()) -> None:
        self._home = home.absolute()
        self._password = password
        self._options = options
        self._account = server_account()
        self._socket_folder = socket_folder(self._home / "socket", self._account)
        self._programs = self._home / "programs"

    def prepare(self) -> None:
        """Make the data folder when there is none, and stop a server that an earlier run left in it.

        Raises:
            CannotStart: the data are another version's, or cannot be made.
        """
        own_folder(self._home, self._account)
        own_folder(self._socket_folder, self._account)
        self._programs = self._installation() / "bin"
        if self._version_file.exists():
            self._check_version()
            stop_leftover(self._data, self._socket_folder)
        else:
            self._create()

    def command(self) -> Command:
        """How to start it, after `prepare`."""
        settings = (
            "listen_addresses=",
            f"unix_socket_directories={self._socket_folder}",
            "unix_socket_permissions=0700",
            "shared_buffers=64MB",
            "timezone=UTC",
            "log_min_messages=fatal",
            *self._options,
        )
        return Command(
            name="postgres",
            argv=[str(self._programs / "postgres"), "-D", str(self._data), *_as_options(settings)],
            env=basic_environment(),
            account=self._account,
            stop_signal=signal.SIGINT,  # ends sessions and then the server; SIGTERM would wait for them
            kill_signal=signal.SIGQUIT,  # it kills its own children, which SIGKILL would leave to find out
        )

    def url(self, database: str = USER) -> str:
        """Where clients find `database`."""
        folder = quote(str(self._socket_folder), safe="/")
        return f"postgresql+asyncpg://{USER}:{self._password}@/{database}?host={folder}"

    async def wait_until_ready(self, is_alive: Callable[[], bool]) -> None:
        """Wait until it answers; recovering after a kill may take a while. Then see to its database."""
        await until_answers(
            "PostgreSQL", self._ensure_database, not_yet=_NOT_YET, is_alive=is_alive, timeout_s=120
        )

    async def execute(self, statement: str) -> None:
        """Run one statement on the server, outside any of the platform's databases."""
        connection = await self._connect()
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _ensure_database(self) -> None:
        if not self._says_ready():
            raise ConnectionRefusedError("it is still starting")
        connection = await self._connect()
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", USER):
                await connection.execute(f"CREATE DATABASE {USER}")
        finally:
            await connection.close()

    async def _connect(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                host=str(self._socket_folder),
                user=USER,
                password=self._password,
                database="postgres",
                timeout=10,
            )
        except asyncpg.InvalidPasswordError as error:
            raise CannotStart(
                f"{self._data} was made with another password: put back the secrets.json that belongs to it, "
                "or move that folder away to start empty"
            ) from error

    def _says_ready(self) -> bool:
        """What the server's own file tells. Whoever connects earlier is refused, and that is logged."""
        with suppress(FileNotFoundError):
            return (self._data / "postmaster.pid").read_text().rstrip().endswith("ready")
        return False

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _version_file(self) -> Path:
        return self._data / "PG_VERSION"

    def _installation(self) -> Path:
        """The programs, copied first when the server's user cannot get at them."""
        installed = binaries.postgres_package() / "pginstall"
        if not self._account or reachable_by_all(installed / "bin" / "postgres"):
            return installed
        return binaries.copy_postgres(own_folder(self._home / "programs", self._account))

    def _check_version(self) -> None:
        theirs = self._version_file.read_text().strip()
        ours = _major_version(self._run("postgres", "--version"))
        if theirs != ours:
            raise CannotStart(
                f"{self._data} holds data of PostgreSQL {theirs}, and this is PostgreSQL {ours}: "
                "move that folder away to start empty, or set DATABASE_URL to a server that can read it"
            )

    def _create(self) -> None:
        """Make a data folder, which gets its name once it is whole."""
        unfinished = self._home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self._home / "password"
        password_file.write_text(self._password)
        password_file.chmod(0o644)  # the folder around it is private
        try:
            self._run("initdb", "-D", str(unfinished), f"--pwfile={password_file}", *_INITDB)
        finally:
            password_file.unlink()
        unfinished.rename(self._data)

    def _run(self, program: str, *arguments: str) -> str:
        """What `program` prints, run with the server's rights.

        Raises:
            CannotStart: it failed; the text ends with the last line that it printed.
        """
        done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  our program, our arguments
            [str(self._programs / program), *arguments],
            **_rights(self._account),
            env=basic_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotStart(f"PostgreSQL's {program} failed: {_reason(done.stderr)}")
        return done.stdout


def _rights(account: str) -> dict[str, Any]:
    """Arguments of `subprocess.run` for a program that runs as `account`."""
    if not account:
        return {}
    user = pwd.getpwnam(account)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _as_options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("-c", setting)]


def _major_version(banner: str) -> str:
    """The 18 of `postgres (PostgreSQL) 18.6`."""
    return banner.split()[2].partition(".")[0]


def _reason(stderr: str) -> str:
    """The line that says why; a hint or a remark may follow it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return (telling or lines or ["it printed nothing"])[-1]
