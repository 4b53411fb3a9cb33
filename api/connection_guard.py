"""How many connections a process and an address may hold, and how slow they may be."""

import math
import resource
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from api.client_address import is_trusted, trusted_networks
from api.request_head import HeadRules
from api.security_headers import SecurityHeaders
from api.wire_errors import TooManyConnections
from shared.settings import Settings

LOOK_EVERY_S = 1.0
_COME_BACK_S = 5
_OTHER_FILES = 256  # connections to our own servers, and files on their way in or out


class Connection(Protocol):
    """What the guard looks at."""

    def look(self, elapsed_s: float) -> None:
        """End the connection if it has become too slow.

        Args:
            elapsed_s: since the guard last looked.
        """


class ConnectionGuard:
    """Of one API process.

    Attributes:
        now: seconds that went by, as of the last look. Coarse, and free to read with every request.
        block: header lines of each answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trusted = trusted_networks(settings.trusted_proxies)
        self._most = _room_for(settings.max_connections)
        self._held: Counter[str] = Counter()
        self._total = 0
        self.now, self._looked_at = 0.0, -math.inf
        self.head_rules = HeadRules(settings)
        self.block = SecurityHeaders(settings).block
        self.head_timeout_s = settings.head_timeout_s
        self.body_min_bytes_s, self.body_grace_s = settings.body_min_bytes_s, settings.body_grace_s
        self.send_timeout_s = settings.send_timeout_s

    def take(self, address: str) -> None:
        """Count a connection from an address, which is empty for a Unix socket.

        Raises:
            TooManyConnections: there are too many; it was not counted.
        """
        if self._total >= self._most:
            raise TooManyConnections(
                f"this process holds {self._total} connections, as many as it may", retry_after_s=_COME_BACK_S
            )
        most = self._settings.max_connections_per_address
        if most and self._held[address] >= most and address and not is_trusted(address, self._trusted):
            raise TooManyConnections(
                f"your address holds {most} connections, as many as it may: close some, or use them again",
                retry_after_s=_COME_BACK_S,
            )
        self._held[address] += 1
        self._total += 1

    def give_back(self, address: str) -> None:
        """A counted connection has ended."""
        self._total -= 1
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]

    def look(self, now: float, connections: Iterable[Connection]) -> None:
        """Look at every connection, about once a second.

        Args:
            now: seconds of a clock that never goes back.
        """
        if now - self._looked_at < LOOK_EVERY_S:
            return
        elapsed_s = min(now - self._looked_at, 2 * LOOK_EVERY_S)  # a pause of ours is nobody's slowness
        self._looked_at = now
        self.now += elapsed_s
        for connection in list(connections):
            connection.look(elapsed_s)


def _room_for(connections: int) -> int:
    """As many connections as wanted, or as the limit of open files leaves room for; raises that if it may.

    A process that cannot open another file cannot even refuse a connection.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections + _OTHER_FILES
    if soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS has a limit behind its limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    return max(1, min(connections, soft - _OTHER_FILES))
