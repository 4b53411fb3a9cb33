"""Which requests share one call of the model: the batching, without any I/O.

Source: adaptive batching in Clipper (Crankshaw et al., NSDI 2017), without its waiting: what gathered
while the model was busy is the batch.
"""

from collections import deque
from collections.abc import Iterator

from workers.predict.taken import Taken

Outputs = tuple[str, ...]

MAX_CALL_BYTES = 32 * 1024 * 1024  # of several requests


class Call:
    """Requests that are asked of the model together.

    Attributes:
        tries: how often its host died while it computed this.
        suspect: it was part of a call that hung.
    """

    __slots__ = ("requests", "rows", "suspect", "tries")

    def __init__(self, requests: list[Taken], *, tries: int = 0, suspect: bool = False) -> None:
        self.requests, self.tries, self.suspect = requests, tries, suspect
        self.rows = sum(taken.request.rows for taken in requests)

    @property
    def outputs(self) -> Outputs:
        """Which outputs all of them want."""
        return self.requests[0].request.outputs

    @property
    def deadline(self) -> float:
        """Until when the first of them waits, in monotonic seconds."""
        return min(taken.deadline for taken in self.requests)

    def halves(self) -> "tuple[Call, Call]":
        """Two calls in place of this one, to find the request that made it fail."""
        middle = len(self.requests) // 2
        return (
            Call(self.requests[:middle], tries=self.tries),
            Call(self.requests[middle:], tries=self.tries),
        )

    def apart(self, *, suspect: bool) -> "list[Call]":
        """A call for each request, to find the one that costs a host with the fewest hosts."""
        return [Call([taken], suspect=suspect) for taken in self.requests]

    def once_more(self) -> "Call":
        """The same, when its host died of it, or by chance."""
        return Call(self.requests, tries=self.tries + 1, suspect=self.suspect)

    def row_slices(self) -> Iterator[tuple[Taken, slice]]:
        """Each request, with the rows that are its own."""
        start = 0
        for taken in self.requests:
            end = start + taken.request.rows
            yield taken, slice(start, end)
            start = end


class Waiting:
    """Requests that wait for a call, in the order of their coming.

    Requests that want different outputs never share a call: each would pay for the other's.
    """

    def __init__(self) -> None:
        self._lines: dict[Outputs, deque[Taken]] = {}
        self._again: deque[Call] = deque()  # calls that failed, in smaller pieces
        self.rows = 0

    def __bool__(self) -> bool:
        return bool(self._again or self._lines)

    def add(self, taken: Taken) -> None:
        """Let a request wait."""
        outputs = taken.request.outputs
        line = self._lines.get(outputs)
        if line is None:
            line = self._lines[outputs] = deque()
        line.append(taken)
        self.rows += taken.request.rows

    def add_again(self, *calls: Call) -> None:
        """Let calls come next, before anything else: their requests have waited longest."""
        self._again.extendleft(reversed(calls))

    def add_last_again(self, call: Call) -> None:
        """Let a call come after the others that failed: they may be its victims."""
        self._again.append(call)

    def oldest_at(self) -> float:
        """When the request came that waited longest, in monotonic seconds; 0 for one to be done again."""
        return 0.0 if self._again else min(line[0].taken_at for line in self._lines.values())

    def next_call(self, max_rows: int) -> Call:
        """The call whose first request waited longest: at most `max_rows`, or one larger request alone.

        Arrays are bounded by their bytes as well: a call lies in shared memory, which never shrinks.
        """
        if self._again:
            return self._again.popleft()
        outputs = min(self._lines, key=self._first_came)
        line = self._lines[outputs]
        requests = [line.popleft()]
        rows, left_bytes = requests[0].request.rows, MAX_CALL_BYTES - len(requests[0].request.body)
        while line and rows + line[0].request.rows <= max_rows and len(line[0].request.body) <= left_bytes:
            requests.append(line.popleft())
            rows += requests[-1].request.rows
            left_bytes -= len(requests[-1].request.body)
        if not line:
            del self._lines[outputs]
        self.rows -= rows
        return Call(requests)

    def take_all(self) -> list[Taken]:
        """Every request that waits; none does any more."""
        requests = [taken for call in self._again for taken in call.requests]
        requests += [taken for line in self._lines.values() for taken in line]
        self._again.clear()
        self._lines.clear()
        self.rows = 0
        return requests

    def _first_came(self, outputs: Outputs) -> float:
        return self._lines[outputs][0].taken_at
