"""How often Python looks for garbage in a process that has a lot of its own, and much to do."""

import gc

THRESHOLD = 20_000  # objects made since the last collection; 700 is Python's


def spare_garbage_collection() -> None:
    """Have the collector look at what requests make, not at the application, and less often.

    Call it once all is imported and set up. To look at the whole of it takes some 50 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD)


def collect_garbage() -> None:
    """Collect what a change of the process's own state has left, which the requests would long not reach.

    Takes a few milliseconds, as what was there at the start is not looked at.
    """
    gc.collect()
