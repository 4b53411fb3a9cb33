"""Was this request sent by a page of ours? Browsers say so, and pages cannot make them lie.

Source: OWASP's Cross-Site Request Forgery Prevention Cheat Sheet; Fetch Metadata (W3C).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from litestar.types import Scope

from api.client_address import client_scheme, trusted_networks
from shared.errors import NotAllowed
from shared.settings import Settings

_OURS: Final = frozenset({b"same-origin", b"none"})  # none: whoever sits before it typed the address
_HIDDEN: Final = b"null"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class CrossOrigin(NotAllowed):
    """Another site's page sent this, or nobody says which page did: cookies count for nothing then."""

    code = "cross_origin"


class OwnPages:
    """The pages at PUBLIC_URL, and at the name by which the request itself came."""

    def __init__(self, settings: Settings) -> None:
        self._public = _origin(settings.public_url)
        self._trusted = trusted_networks(settings.trusted_proxies)

    def check(self, scope: Scope) -> None:
        """Let a request through that changes something.

        Raises:
            CrossOrigin: a page of another origin sent it, or none is named.
        """
        headers = dict(scope["headers"])
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if origin == _HIDDEN and site in _OURS:
            origin = None  # a page with `Referrer-Policy: no-referrer`, of which a form was sent
        named = site is not None or origin is not None
        if not named or not self._holds(scope, headers, site=site, origin=origin):
            raise CrossOrigin(
                "cookies count only for requests of this platform's own pages, which the browser tells by "
                "Sec-Fetch-Site or Origin; pages elsewhere send an access token or an API key, and behind a "
                "proxy PUBLIC_URL has to be set"
            )

    def check_reading(self, scope: Scope) -> None:
        """Let a request through that only reads. A link from another site may lead here; more it may not.

        Raises:
            CrossOrigin: a script or an element of another origin's page sent it.
        """
        headers = dict(scope["headers"])
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if headers.get(b"sec-fetch-mode") == b"navigate" and origin is None:
            return
        if not self._holds(scope, headers, site=site, origin=origin):
            raise CrossOrigin("cookies do not count for what another site's page asks: send an access token")

    def _holds(
        self, scope: Scope, headers: Mapping[bytes, bytes], *, site: bytes | None, origin: bytes | None
    ) -> bool:
        """Whether nothing that the browser says speaks against it."""
        if site is not None and site not in _OURS:
            return False
        if origin is None or origin == self._public:
            return True
        host = headers.get(b"host", b"").lower()
        return origin == client_scheme(scope, self._trusted).encode() + b"://" + host


def _origin(url: str) -> bytes:
    """As browsers write it: without the port that is usual."""
    parts = urlsplit(url)
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}".encode()
