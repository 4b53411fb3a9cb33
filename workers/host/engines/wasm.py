"""Programs in WebAssembly: machine code for this processor in milliseconds, with no compiler at hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.host.engines.compiled import CannotCompile

_PAGE_BYTES = 64 * 1024
_MOST_BYTES = 1024 * 1024 * 1024
_ALIGNED = 64  # a line of a cache


class SharedMemory:
    """Arrays that programs and numpy both see, one behind the other."""

    def __init__(self, **arrays: tuple[np.dtype, int]) -> None:
        """Args: arrays: the type and the number of entries of each.

        Raises:
            CannotCompile: they are too large, or WebAssembly does not run here.
        """
        wasmtime = _wasmtime()
        sizes = {name: dtype.itemsize * count for name, (dtype, count) in arrays.items()}
        self._ranges: dict[str, range] = {}
        end = 0
        for name, size in sizes.items():
            self._ranges[name] = range(end, end + size)
            end += -(-size // _ALIGNED) * _ALIGNED
        if end > _MOST_BYTES:
            raise CannotCompile(f"it would take {end >> 20:,} MiB")
        pages = -(-end // _PAGE_BYTES)
        config = wasmtime.Config()
        config.parallel_compilation = False  # a host computes with one thread
        self.engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(self.engine)
        limits = wasmtime.Limits(pages, pages)
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(limits))
        whole = np.frombuffer(self.memory.get_buffer_ptr(self.store), np.uint8)
        self._arrays = {
            name: whole[self.start(name) : self.end(name)].view(dtype) for name, (dtype, _) in arrays.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def start(self, name: str) -> int:
        """The address of an array."""
        return self._ranges[name].start

    def end(self, name: str) -> int:
        """Of the first byte behind it."""
        return self._ranges[name].stop


class Program:
    """One function of a program that works on a memory."""

    def __init__(self, text: str, function: str, memory: SharedMemory) -> None:
        """Translate it.

        Args:
            text: a module that imports the memory.
            function: that the module exports.
        """
        wasmtime = _wasmtime()
        self._store = memory.store
        module = wasmtime.Module(memory.engine, text)
        self._function = wasmtime.Instance(self._store, module, [memory.memory]).exports(self._store)[
            function
        ]

    def run(self, *numbers: int) -> None:
        """Call the function with numbers of 32 bits."""
        self._function(self._store, *numbers)


def _wasmtime() -> Any:
    try:
        import wasmtime  # noqa: PLC0415  may be missing; the template has imported it where it is not
    except (ImportError, OSError) as error:
        raise CannotCompile("wasmtime is not installed here") from error
    return wasmtime
