"""One process of the platform, kept running."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress

from deploy.local.command import Command
from deploy.local.console import Console, read_lines
from deploy.local.records import Records
from shared.errors import OperatorError

DELAYS_S = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0)  # before it is started again; the last for ever after
SETTLED_S = 10.0  # one that ran this long starts again without delay
ATTEMPTS = 4  # endings before the platform is ready after which it will not become so
CANNOT_RUN = frozenset({126, 127})  # no program, or a library of it missing: trying again changes nothing


class Child:
    """A command that is started again, later each time, whenever it ends by itself.

    Args:
        prepare: called before each start.
    """

    def __init__(
        self,
        command: Command,
        console: Console,
        records: Records,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = command.name
        self.last_line = ""
        self.started = asyncio.Event()  # set once there is a process
        self._command = command
        self._console = console
        self._records = records
        self._prepare = prepare
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._endings = 0
        self._exit_code: int | None = None
        self._running: asyncio.Task[int] | asyncio.Task[None] | None = None

    @property
    def is_hopeful(self) -> bool:
        """Whether it runs or may do so soon."""
        return self._endings < ATTEMPTS and self._exit_code not in CANNOT_RUN

    def start(self) -> None:
        """Start it and keep it running."""
        self._running = asyncio.create_task(self._keep_running())

    async def run_to_end(self) -> int:
        """Run it once; its exit code, negative for a signal."""
        running = self._running = asyncio.create_task(self._run())
        await asyncio.shield(running)
        return running.result()

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._stopping.set()
        self._signal(self._command.stop_signal)
        if self._running and not await self._ends_within(self._command.stop_grace_s):
            self._console.say(
                self.name, f"has not stopped after {self._command.stop_grace_s:.0f} s: killing it"
            )
            await self.kill()

    async def kill(self) -> None:
        """End it at once, and all that it started."""
        self._stopping.set()
        self._signal(self._command.kill_signal)
        if self._running and not await self._ends_within(2.0):
            self._signal(signal.SIGKILL)
            await self._ends_within(2.0)

    async def _keep_running(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            started_at = clock()
            ending = await self._attempt()
            if self._stopping.is_set():
                return
            if clock() - started_at >= SETTLED_S:
                self._endings = 0
            self._endings += 1
            await self._pause(ending)

    async def _attempt(self) -> str:
        """Run it until it ends; how it did."""
        try:
            await asyncio.to_thread(self._prepare)
            return _ending(await self._run())
        except (OperatorError, OSError) as error:
            return str(error)

    async def _run(self) -> int:
        read_end, write_end = os.pipe()
        try:
            process = await self._spawn(write_end)
        finally:
            os.close(write_end)
        reading = asyncio.create_task(self._show_output(read_end))
        self._exit_code = await process.wait()
        self._collect_group(process.pid)
        # Something that it started may hold the pipe open for ever.
        await asyncio.wait([reading], timeout=0.5)
        reading.cancel()
        return self._exit_code

    async def _pause(self, ending: str) -> None:
        """Say that it ended, and wait before it is started again, unless it is to stop."""
        delay_s = DELAYS_S[min(self._endings, len(DELAYS_S)) - 1]
        self._console.say(self.name, f"{ending}; starts again in {delay_s:.1f} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _spawn(self, output: int) -> Process:
        process = await asyncio.create_subprocess_exec(
            *self._command.on_leash(),
            env=self._command.env,
            cwd=self._command.folder,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal is for us: we stop them in order
        )
        self._process = process
        self._records.started(self.name, process.pid, self._command.stop_signal)
        self.started.set()
        if self._stopping.is_set():
            self._signal(self._command.stop_signal)
        return process

    async def _show_output(self, descriptor: int) -> None:
        async for line in read_lines(descriptor):
            self._console.say(self.name, line)
            self.last_line = line.strip() or self.last_line

    def _collect_group(self, group: int) -> None:
        """End what the process had started and left behind."""
        self._process = None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self._records.ended(self.name)

    def _signal(self, number: int) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _ends_within(self, limit_s: float) -> bool:
        assert self._running  # noqa: S101  for the type checker: only asked of what was started
        await asyncio.wait([self._running], timeout=limit_s)
        return self._running.done()


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
