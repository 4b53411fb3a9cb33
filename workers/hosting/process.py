"""One model host, driven by blocking calls."""

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable

from shared.catalog.verdict import Signature, Verdict
from workers.host.protocol import BadFrame, Buffer, Ended
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.conversation import Conversation, Outcome
from workers.hosting.errors import HostDied, HostTimedOut, ModelFailed
from workers.hosting.memory import memory_bytes


class HostProcess:
    """A process that holds one model. Not to be shared between threads.

    A host that died, hung or answered nonsense is killed and stays dead: spawn another.
    """

    pid: int

    def load(
        self,
        artifact: int,
        *,
        sample: int | None = None,
        probe: bool,
        signature: Signature | None = None,
        timeout_s: float,
    ) -> Verdict:
        """Open the artifact behind a descriptor.

        Args:
            artifact: of a regular file or memfd; its offset is neither used nor moved.
            sample: likewise, of rows as CSV or Parquet.
            probe: ask for a whole verdict. Otherwise `signature`, of an earlier verdict, is taken as given.

        Raises:
            HostDied: opening it ended the process.
            HostTimedOut: no verdict in time.
        """

    def slot(self, size_bytes: int) -> memoryview:
        """The area of shared memory that the next call's input is written to."""

    def submit(self, call: PredictCall) -> None:
        """Send a call; never waits. At most two calls may be outstanding."""

    def receive(self, *, timeout_s: float) -> Prediction:
        """The answer of the oldest outstanding call.

        Raises:
            ModelFailed: the model raised an error on these rows; the host lives on.
            HostDied: there will be no answer.
            HostTimedOut: there was none in time; the host was killed.
        """

    def kill(self) -> None:
        """End it now, whatever it does."""

    def memory_bytes(self) -> int:
        """Memory that is this process's own, beside what it shares with its template."""
