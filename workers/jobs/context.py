"""What the steps of a job work with."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import BinaryIO, ParamSpec, TypeVar, cast

import msgspec

from shared.database.engine import Database
from shared.jobs.news import JobNews
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from workers.jobs.holding import StoppableFile, StopSign
from workers.jobs.host_pool import HostPool

P = ParamSpec("P")
T = TypeVar("T")


class JobContext(msgspec.Struct, frozen=True, kw_only=True):
    """Opened once a process.

    Attributes:
        threads: one for each message that is worked on; Arrow keeps memory for every thread that used it.
        stopping: set when the process was asked to end; work in hand is then handed back.
    """

    settings: Settings
    database: Database
    storage: Storage
    messenger: Messenger
    news: JobNews
    hosts: HostPool
    threads: Executor
    stopping: threading.Event

    async def in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do what blocks off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(
            self.threads, partial(work, *arguments, **named)
        )

    def open(self, key: str, sign: StopSign) -> BinaryIO:
        """An object to read until the sign is shown; to be closed."""
        return cast(BinaryIO, StoppableFile(self.storage.reader(key), sign))

    def open_each(self, keys: Iterable[str], sign: StopSign) -> Iterator[BinaryIO]:
        """Several objects, each opened when it is its turn and closed after it."""
        for key in keys:
            with self.open(key, sign) as file:
                yield file
