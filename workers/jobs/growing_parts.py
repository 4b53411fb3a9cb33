"""The parts of a job that still runs, for the thread that joins them: it waits for those to come."""

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from shared.jobs.early_join import Joinable
from shared.jobs.outcomes import ErrorsPart
from workers.jobs.holding import StopSign

_LOOK_S = 0.25  # between two looks at the sign


class GrowingParts:
    """Filled by one thread and used up by another.

    Attributes:
        file_names: of the input, where it has several.
        errors: of the chunks that have some; known after the last key.
    """

    def __init__(self, file_names: list[str], sign: StopSign) -> None:
        self.file_names = file_names
        self.errors: Sequence[ErrorsPart] = ()
        self._sign = sign
        self._found: SimpleQueue[Joinable | Exception] = SimpleQueue()

    def add(self, found: Joinable) -> None:
        """Tell of those that follow the ones told of before."""
        self._found.put(found)

    def fail(self, error: Exception) -> None:
        """Nothing can be told any more: who waits shall fail too."""
        self._found.put(error)

    @property
    def keys(self) -> Iterator[str]:
        """Each as soon as it is there, until there will be no more.

        Raises:
            Stopped: the sign was shown meanwhile.
        """
        while True:
            found = self._next()
            yield from found.keys
            if found.errors is not None:
                self.errors = found.errors
                return

    def _next(self) -> Joinable:
        while True:
            self._sign.check()
            try:
                found = self._found.get(timeout=_LOOK_S)
            except Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found
