"""One model host, driven by an event loop."""

from shared.catalog.verdict import Signature, Verdict
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate


class AsyncHost:
    """A host for the event loop that made it. Answers come in the order of the calls, at most two at a time.

    Attributes:
        died: done, with the HostDied or HostTimedOut as its result, once the host is gone.
    """

    def __init__(self, process: HostProcess) -> None: ...

    @classmethod
    async def spawn(cls, template: HostTemplate) -> "AsyncHost":
        """Fork a host off the template, without blocking the loop."""

    async def load(
        self,
        artifact: int,
        *,
        sample: int | None = None,
        probe: bool,
        signature: Signature | None = None,
        timeout_s: float,
    ) -> Verdict:
        """Open the artifact behind a descriptor; see `HostProcess.load`."""

    async def predict(self, call: PredictCall, *, timeout_s: float) -> Prediction:
        """Answer one call; the time counts from when its turn has come. Errors as `HostProcess.receive`."""

    def slot(self, size_bytes: int) -> memoryview:
        """The area of shared memory that the next call's input is written to."""

    def kill(self) -> None:
        """End it now, whatever it does. Outstanding calls get HostDied."""

    def memory_bytes(self) -> int:
        """Memory that is this process's own."""
