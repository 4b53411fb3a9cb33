"""Where a host may write: a folder of its own, for libraries that open nothing but paths."""

import functools
import tempfile
from pathlib import Path


@functools.cache
def scratch() -> Path:
    """An empty folder that is this host's alone. Asked for by a host, never by the template."""
    return Path(tempfile.mkdtemp(prefix="modelyard-host-"))
