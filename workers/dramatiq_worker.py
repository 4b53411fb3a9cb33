"""Dramatiq's worker inside a process of our own: no master, so no orphans, and signals in one place."""

import signal
import threading
from collections.abc import Awaitable, Callable, Collection

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware

IDLE_POLL_MS = 100  # Dramatiq's own second is what an idle queue would add to every job
STOP_LIMIT_S = 60.0  # what is in hand longer than this is left to its lease


def run_worker(
    broker: dramatiq.Broker,
    queues: Collection[str],
    *,
    threads: int,
    on_stop: Callable[[], None],
    close: Callable[[], Awaitable[None]],
) -> None:
    """Run the actors of some queues until SIGTERM or SIGINT, finish what is in hand, and return.

    A second signal ends the process at once.

    Args:
        threads: messages that are worked on side by side.
        on_stop: called when the first signal arrives; long work should be handed back now.
        close: awaited on the actors' event loop after the last of them, while that loop still runs:
            connections belong to the loop that opened them.
    """
    stop = _stop_on_signals()
    broker.add_middleware(_CloseOnLoop(close))
    worker = dramatiq.Worker(broker, queues={*queues}, worker_timeout=IDLE_POLL_MS, worker_threads=threads)
    worker.queue_prefetch = threads  # more would hide work from idle workers
    worker.start()
    stop.wait()
    on_stop()
    worker.stop(timeout=int(STOP_LIMIT_S * 1000))
    broker.close()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


class _CloseOnLoop(Middleware):
    """Awaits `close` while the loop still runs: "after" hooks run in reverse, and AsyncIO was added first."""

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002  the hook's signature
        loop_thread = get_event_loop_thread()
        if loop_thread is not None:
            loop_thread.run_coroutine(self._close())
