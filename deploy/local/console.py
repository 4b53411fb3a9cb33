"""The lines of every process in one terminal, each with the name of who wrote it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_PIECE_BYTES = 65536


class Console:
    """Prints `name | line`, coloured where somebody reads along."""

    def __init__(self, names: list[str], output: TextIO = sys.stdout) -> None:
        self._width = max(map(len, names))
        self._colours = dict(zip(names, _COLOURS * len(names), strict=False)) if _is_colourful(output) else {}
        self._output = output

    def say(self, name: str, line: str) -> None:
        """Print one line in the name of a process."""
        prefix = f"{name:<{self._width}} |"
        if colour := self._colours.get(name):
            prefix = f"\033[{colour}m{prefix}\033[0m"
        self.show(f"{prefix} {line}")

    def show(self, text: str) -> None:
        """Print text as it is. A reader who left, or a full disk behind a redirection, stops nothing."""
        with suppress(OSError):
            print(text, file=self._output, flush=True)


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """The lines that are written to the other end of a pipe, however long, until everybody closed it."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    begun = b""
    try:
        while piece := await reader.read(_PIECE_BYTES):
            *lines, begun = (begun + piece).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").rstrip()
        if begun:
            yield begun.decode(errors="replace").rstrip()
    finally:
        transport.close()


def _is_colourful(output: TextIO) -> bool:
    return output.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
