"""What the steps of a job work with."""

import threading
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec

from shared.database.engine import Database
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from workers.jobs.holding import StoppableFile, StopSign
from workers.jobs.host_pool import HostPool


class JobContext(msgspec.Struct, frozen=True, kw_only=True):
    """Opened once a process.

    Attributes:
        stopping: set when the process was asked to end; work in hand is then handed back.
    """

    settings: Settings
    database: Database
    storage: Storage
    messenger: Messenger
    hosts: HostPool
    stopping: threading.Event

    def open(self, key: str, sign: StopSign) -> BinaryIO:
        """An object to read until the sign is shown."""
        return cast(BinaryIO, StoppableFile(self.storage.reader(key), sign))

    def open_each(self, keys: list[str], sign: StopSign) -> Iterator[BinaryIO]:
        """Several objects, each opened when it is its turn."""
        for key in keys:
            yield self.open(key, sign)
