"""The cookies of a log-in in a browser: what they are called, where they go, how long they last.

The access token goes with every request, the refresh token only to where it is spent; no script sees either.
The third is for scripts: pages of other sites cannot read it, and so not send what it holds.
"""

from collections.abc import Iterable
from typing import Final, Literal

from litestar.datastructures import Cookie

from shared.errors import Unauthenticated
from shared.settings import Settings

Fields = Iterable[tuple[bytes, bytes]]

SPENT_AT: Final = "/api/v1/auth"  # refreshing, switching and logging out spend refresh tokens
EVERYWHERE: Final = "/"


class BrowserCookies:
    """For these settings.

    Attributes:
        session: the name of the cookie with the access token.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_secure = settings.public_url.startswith("https:")
        self._access_s = settings.access_token_ttl_s
        self._refresh_s = min(settings.refresh_token_ttl_s, settings.session_ttl_s)
        # With these prefixes browsers take them from nobody but this very host, over HTTPS (RFC 6265bis).
        host, secure = ("__Host-", "__Secure-") if self._is_secure else ("", "")
        self.session, self._csrf = f"{host}modelyard_session", f"{host}modelyard_csrf"
        self._refresh = f"{secure}modelyard_refresh"

    def of_login(self, *, access_token: str, refresh_token: str, csrf_token: str) -> list[Cookie]:
        """What a browser keeps from now on."""
        return [
            self._session_cookie(access_token, lasts_s=self._access_s),
            self._refresh_cookie(refresh_token, lasts_s=self._refresh_s),
            self._csrf_cookie(csrf_token, lasts_s=self._refresh_s),
        ]

    def taken_back(self) -> list[Cookie]:
        """What makes a browser forget all of them."""
        return [
            self._session_cookie("", lasts_s=0),
            self._refresh_cookie("", lasts_s=0),
            self._csrf_cookie("", lasts_s=0),
        ]

    def no_session(self) -> str:
        """A `Set-Cookie` field that makes it forget the access token."""
        return self._session_cookie("", lasts_s=0).to_header(header="")

    def no_refresh(self) -> str:
        """A `Set-Cookie` field that makes it forget the refresh token."""
        return self._refresh_cookie("", lasts_s=0).to_header(header="")

    def access_token(self, headers: Fields) -> bytes:
        """That of the request; empty where there is none.

        Raises:
            Unauthenticated: there are several.
        """
        return _only(headers, self.session.encode())

    def refresh_token(self, headers: Fields) -> str:
        """That of the request; empty where there is none.

        Raises:
            Unauthenticated: there are several.
        """
        return _only(headers, self._refresh.encode()).decode("latin-1")

    def _session_cookie(self, value: str, *, lasts_s: int) -> Cookie:
        """Lax: a link in a mail leads to a page of ours, and whoever follows it is logged in there."""
        return self._cookie(self.session, value, lasts_s=lasts_s, path=EVERYWHERE, samesite="lax")

    def _refresh_cookie(self, value: str, *, lasts_s: int) -> Cookie:
        return self._cookie(self._refresh, value, lasts_s=lasts_s, path=SPENT_AT)

    def _csrf_cookie(self, value: str, *, lasts_s: int) -> Cookie:
        return self._cookie(self._csrf, value, lasts_s=lasts_s, path=EVERYWHERE, for_scripts=True)

    def _cookie(
        self,
        name: str,
        value: str,
        *,
        lasts_s: int,
        path: str,
        samesite: Literal["lax", "strict"] = "strict",
        for_scripts: bool = False,
    ) -> Cookie:
        return Cookie(
            key=name,
            value=value,
            max_age=lasts_s,
            path=path,
            secure=self._is_secure,
            httponly=not for_scripts,
            samesite=samesite,
        )


def _only(headers: Fields, name: bytes) -> bytes:
    """The value of the one cookie of this name. Two are of two hosts, or of somebody who tries something."""
    found = {value for key, value in _cookies(headers) if key == name}
    if len(found) > 1:
        raise Unauthenticated(f"the cookie {name.decode()} came more than once: have the browser forget it")
    return found.pop() if found else b""


def _cookies(headers: Fields) -> Iterable[tuple[bytes, bytes]]:
    """Every cookie; HTTP/2 allows a field for each."""
    for field, value in headers:
        if field == b"cookie":
            for part in value.split(b";"):
                name, _, held = part.partition(b"=")
                yield name.strip(), held.strip()
