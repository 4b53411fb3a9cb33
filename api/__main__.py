"""`python -m api`: one API process."""

import asyncio
import errno
import math
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any

import uvicorn
from litestar import Litestar

from api.app import create_app
from api.connection_guard import ConnectionGuard
from api.exposure import check_exposure, tls_arguments
from api.guard_check import check_guard
from api.predict_lane import lane_for
from api.processes import ApiProcesses
from shared.errors import OperatorError
from shared.garbage import spare_garbage_collection
from shared.logs import configure_logs
from shared.pandas_kept_out import keep_pandas_out
from shared.settings import Settings

FINISH_WITHIN_S = 30  # what requests in flight get, once nobody new is let in
BACKLOG = 2048  # connections that wait to be accepted
SAME_WORD_S = 0.5  # a SIGTERM so soon after another: our parent had it too, and passed it on
KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection, so that they close it, not we


class AddressUnusable(OperatorError):
    """The API cannot listen where the settings say."""

    code = "address_unusable"


class DrainingServer(uvicorn.Server):
    """Says that it is about to stop before it does, so that load balancers send nobody to a closed socket."""

    def __init__(
        self, config: uvicorn.Config, app: Litestar, *, guard: ConnectionGuard, drain_s: float
    ) -> None:
        super().__init__(config)
        self._app, self._guard, self._drain_s = app, guard, drain_s
        self._told_at = self._stop_at = math.inf  # monotonic seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        """SIGTERM drains first; SIGINT, and a second SIGTERM, stop at once."""
        readiness = self._app.state.get("readiness")  # not there while the process starts
        now = time.monotonic()
        if sig != signal.SIGTERM or readiness is None:
            self.should_exit = True
        elif not readiness.draining:
            readiness.draining = True
            self._told_at, self._stop_at = now, now + self._drain_s
        elif now - self._told_at > SAME_WORD_S:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn asks ten times a second whether to stop."""
        connections: set[Any] = self.server_state.connections
        self._guard.look(time.monotonic(), connections)
        stops = await super().on_tick(counter) or time.monotonic() >= self._stop_at
        news = self._app.state.get("job_news")
        if stops and news is not None:
            news.end_waits()  # those who follow a job would hold the process up
        return stops


def listen(host: str, port: int, *, processes: int) -> list[socket.socket]:
    """A listening socket for each process; whoever connects waits until its server has started.

    Raises:
        AddressUnusable: it cannot be; the text says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Connections are shared out among sockets of one port by Linux alone; elsewhere all accept from one.
    shared = processes > 1 and sys.platform == "linux"
    try:
        with socket.create_server((host, port), family=family, backlog=BACKLOG) as alone:
            if not shared:
                return [alone.dup()] * processes
            host, port = alone.getsockname()[:2]  # nobody else listens here, as SO_REUSEPORT would not tell
        return [
            socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True)
            for _ in range(processes)
        ]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressUnusable(
                f"port {port} on {host} is taken: stop what listens there, or set PORT to another"
            ) from error
        raise AddressUnusable(f"cannot listen on {host}, port {port}: {error.strerror}") from error


def serve(settings: Settings, server_socket: socket.socket) -> None:
    """Answer requests until told to stop."""
    app = create_app(settings)
    guard = ConnectionGuard(settings)
    spare_garbage_collection()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=lane_for(app.state.predict_route, gate=app.state.gate, guard=guard),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # api/client_address.py knows which proxies can be believed
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_WITHIN_S,
        **tls_arguments(settings),
    )
    DrainingServer(config, app, guard=guard, drain_s=settings.drain_s).run(sockets=[server_socket])


def run(settings: Settings) -> None:
    """Serve with as many processes as the settings say."""
    check_exposure(settings)
    processes = settings.api_processes or max(1, (os.cpu_count() or 1) // 2)  # workers want the other half
    sockets = listen(settings.host, settings.port, processes=processes)
    asyncio.run(check_guard(settings))
    if len(sockets) == 1:
        serve(settings, sockets[0])
    else:
        ApiProcesses(sockets, lambda server_socket: serve(settings, server_socket)).run()


def main() -> None:
    """Read the settings and serve. What an operator must mend is one line, not a traceback."""
    try:
        settings = Settings.from_env(os.environ)
        configure_logs(settings, "api")
        keep_pandas_out()
        run(settings)
    except OperatorError as error:
        sys.exit(f"api: {error}")


if __name__ == "__main__":
    main()
