"""By which names the platform answers: links and caches must not be made of a name that a stranger chose."""

from functools import lru_cache
from urllib.parse import urlsplit

from api.wire_errors import HostNotAllowed
from shared.settings import Settings


class AllowedHosts:
    """The names of ALLOWED_HOSTS; in production that of PUBLIC_URL where there are none."""

    def __init__(self, settings: Settings) -> None:
        names = [name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()]
        if not names and settings.environment == "production":
            names = [urlsplit(settings.public_url).hostname or ""]
        self.names = allowed = frozenset(names)  # empty: any

        @lru_cache(1024)
        def is_allowed(host: bytes) -> bool:
            return not allowed or _name(host) in allowed

        self.is_allowed = is_allowed  # by the Host field as it came; remembered, as few are sent

    def check(self, host: bytes) -> None:
        """Let a Host field through.

        Raises:
            HostNotAllowed: it has another name.
        """
        if not self.is_allowed(host):
            raise HostNotAllowed(
                "the platform does not answer by this host name; use the one of its PUBLIC_URL"
            )


def _name(host: bytes) -> str:
    """Without the port; an IPv6 address without its brackets, as urlsplit gives it."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
