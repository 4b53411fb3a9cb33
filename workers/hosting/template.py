"""The template process: imports the model libraries once, and forks hosts."""

from workers.hosting.process import HostProcess


class HostTemplate:
    """One a worker process. Threads may share it."""

    def start(self) -> None:
        """Start it, or start it again if it died; returns when its imports are done."""

    def spawn(self) -> HostProcess:
        """Fork a host (some 10 ms)."""

    def close(self) -> None:
        """End it and all its hosts."""
