"""Which requests share one call of the model: the batching, without any I/O."""

from collections.abc import Iterable, Iterator

from workers.predict.request_queue import Taken

Call = list[Taken]


def plan_calls(requests: Iterable[Taken], *, max_rows: int) -> Iterator[Call]:
    """Group requests into calls of at most `max_rows`, in order; a larger request makes a call alone.

    Requests that want different outputs never share one: each would pay for the other's.

    Source: adaptive batching in Clipper (Crankshaw et al., NSDI 2017), without its waiting: what
    gathered while the model was busy is the batch.
    """
    open_calls: dict[tuple[str, ...], Call] = {}
    for taken in requests:
        outputs = taken.request.outputs
        call = open_calls.get(outputs)
        if call and rows_of(call) + taken.request.rows > max_rows:
            yield open_calls.pop(outputs)
        open_calls.setdefault(outputs, []).append(taken)
    yield from open_calls.values()


def rows_of(call: Call) -> int:
    """How many rows the call has."""
    return sum(taken.request.rows for taken in call)


def halves(call: Call) -> tuple[Call, Call]:
    """Two calls in place of one, to find the request that made it fail."""
    middle = len(call) // 2
    return call[:middle], call[middle:]


def row_slices(call: Call) -> Iterator[tuple[Taken, slice]]:
    """Each request of the call, with the rows that are its own."""
    start = 0
    for taken in call:
        end = start + taken.request.rows
        yield taken, slice(start, end)
        start = end
