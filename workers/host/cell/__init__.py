"""The cell that every model host sits in: see docs/explanation/sandbox.md.

`walls.build` prepares it in the template, `door.close` locks a freshly forked host in. Nothing here needs
more than Python itself, since hosts run in environments of many kinds.

What a runtime may use inside:

- the artifact's descriptor, for reading. It has no path that could be opened.
- `scratch.folder()`: a folder to unpack into, for libraries that want one. It holds as many bytes as the host
  may have memory, in at most 4096 files, and may be memory itself: remove what is not read again. It is None
  where there is none; refuse the artifact then, with the code `sandbox_unavailable`. `tempfile` works there.
- files of Python, of the environment's libraries and of the system's, for reading: imports and `dlopen` work.
- threads, as many as `limits.threads()` says; no processes, so no pools of them.
- memory up to HOST_MEMORY_BYTES, then MemoryError; shared memory not at all.

Everything else fails with PermissionError.
"""
