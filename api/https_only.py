"""In production nothing is answered unencrypted but how the process does, and that only to neighbours."""

from collections.abc import Mapping
from typing import Final

from litestar.types import HTTPScope

from api.client_address import client_address, client_scheme, is_trusted, trusted_networks
from api.wire_errors import HttpsRequired
from shared.settings import Settings

PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})  # asked by load balancers and by Prometheus
_NEAR: Final = trusted_networks(
    "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fc00::/7, fe80::/10"
)
_CREDENTIALS: Final = (b"authorization", b"x-api-key")


class HttpsOnly:
    """The rule, for these settings."""

    def __init__(self, settings: Settings) -> None:
        self.is_wanted = settings.environment == "production"
        self._trusted = trusted_networks(settings.trusted_proxies)
        self._public = settings.public_url.encode()

    def holds(self, scope: HTTPScope) -> bool:
        """Whether the request came as it should."""
        return not self.is_wanted or client_scheme(scope, self._trusted) == "https"

    def is_probe(self, scope: HTTPScope) -> bool:
        """Whether a neighbour asks how the process does: by whatever name and scheme it comes."""
        return scope["path"] in PROBES and _is_near(client_address(scope, self._trusted))

    def location(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> bytes:
        """Where the same is to be had encrypted.

        Raises:
            HttpsRequired: the request has told a secret already, or may have.
        """
        if scope["method"] not in {"GET", "HEAD"} or any(name in headers for name in _CREDENTIALS):
            raise HttpsRequired(
                "this came unencrypted, and whatever it carried may have been read on the way: use https://, "
                "and replace the password, token or key that was sent"
            )
        query = scope["query_string"]
        return self._public + scope["raw_path"] + (b"?" + query if query else b"")


def _is_near(address: str) -> bool:
    """On this machine, or in a private network; so is a Unix socket, whose address is empty."""
    return not address or is_trusted(address, _NEAR)
