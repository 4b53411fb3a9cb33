"""The provider of log-ins: its metadata, its keys, and the exchange of a code for tokens."""

import hmac
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
import msgspec

from shared.access.oidc.errors import OidcMisconfigured, OidcRefused, OidcTokenInvalid
from shared.access.oidc.fetching import ProviderAnswer, ProviderHttp
from shared.access.oidc.id_token import Expected, find_key, read_header, verified_claims
from shared.access.oidc.metadata import WELL_KNOWN, KeySet, Metadata, TokenProblem, Tokens
from shared.access.oidc.remembered import Remembered
from shared.settings import Settings

_METADATA_FOR_S: Final = 3600.0
_KEYS_FOR_S: Final = 900.0  # how long a key still counts that the provider withdrew
_OK: Final = 200
_SERVER_ERROR: Final = 500
_ASKED_FOR: Final = ("email", "email_verified", "name")  # together: one vouches for the other
# By these the provider means the platform, not who logs in.
_OURS: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})


class Provider:
    """One provider."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = ProviderHttp(settings.oidc_name)
        self._metadata = Remembered(self._fetch_metadata, good_for_s=_METADATA_FOR_S)
        self._keys = Remembered(self._fetch_keys, good_for_s=_KEYS_FOR_S)

    async def log_in_url(self, parameters: dict[str, str]) -> str:
        """Where the browser is sent to log in."""
        metadata = await self._metadata.get()
        ours = {"client_id": self._settings.oidc_client_id, "scope": self._settings.oidc_scopes, **parameters}
        return str(httpx.URL(metadata.authorization_endpoint).copy_merge_params(ours))

    async def check_sender(self, issuer: str | None) -> None:
        """Refuse an answer that another provider sent (RFC 9207).

        Raises:
            OidcRefused: it says so, or does not say whose it is though the provider always does.
        """
        metadata = await self._metadata.get()
        if issuer is None and not metadata.authorization_response_iss_parameter_supported:
            return
        if issuer is None or not hmac.compare_digest(issuer.encode(), metadata.issuer.encode()):
            raise OidcRefused("the answer comes from another provider than the log-in was begun at")

    async def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> Tokens:
        """Spend a code.

        Raises:
            OidcRefused: the provider does not take it, or no longer.
            OidcMisconfigured: it does not know the platform.
            OidcUnavailable: it does not answer.
        """
        metadata = await self._metadata.get()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticate(form, metadata.token_endpoint_auth_methods_supported)
        answer = await self._http.ask("POST", metadata.token_endpoint, headers=headers, form=form)
        if answer.status != _OK:
            raise self._refusal(answer)
        return self._http.read(answer, Tokens)

    async def claims(self, tokens: Tokens, *, nonce: str) -> dict[str, Any]:
        """What the ID token proves; what it leaves out of the address, the provider is asked for.

        Raises:
            OidcTokenInvalid: it proves nothing.
            OidcUnavailable: the provider does not answer.
        """
        metadata = await self._metadata.get()
        header = read_header(tokens.id_token, algorithms=metadata.algorithms())
        keys = await self._keys.get()
        key = find_key(keys.keys, header)
        if key is None:  # the provider may have made a new one
            key = find_key((await self._keys.renewed(keys)).keys, header)
        if key is None:
            raise OidcTokenInvalid("the ID token is signed by a key that the provider does not have")
        expected = Expected(
            issuer=metadata.issuer,
            client_id=self._settings.oidc_client_id,
            nonce=nonce,
            access_token=tokens.access_token,
        )
        claims = verified_claims(tokens.id_token, key, algorithm=header.algorithm, expected=expected)
        if "email" in claims or not metadata.userinfo_endpoint:
            return claims
        found = await self._user_info(metadata.userinfo_endpoint, tokens, claims["sub"])
        return claims | {name: found.get(name) for name in _ASKED_FOR}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _fetch_metadata(self) -> Metadata:
        issuer = self._settings.oidc_issuer
        metadata = await self._http.get(issuer.rstrip("/") + WELL_KNOWN, Metadata)
        metadata.check(issuer)
        return metadata

    async def _fetch_keys(self) -> KeySet:
        return await self._http.get((await self._metadata.get()).jwks_uri, KeySet)

    async def _user_info(self, url: str, tokens: Tokens, subject: str) -> dict[str, Any]:
        """Claims that are not signed, from the provider itself (OpenID Connect Core 1.0, section 5.3)."""
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        found = await self._http.get(url, dict[str, Any], headers=headers)
        if found.get("sub") != subject:
            raise OidcTokenInvalid("the provider tells of another user than the ID token is for")
        return found

    def _authenticate(self, form: dict[str, str], methods: tuple[str, ...]) -> dict[str, str]:
        """Headers, or fields of the form, that prove which client asks (RFC 6749, section 2.3.1).

        In the form where the provider reads it there: how a header spells what is no letter or digit, the
        providers do not agree on.
        """
        client_id, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        if secret and "client_secret_post" not in methods:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        form |= {"client_id": client_id, **({"client_secret": secret} if secret else {})}
        return {}

    def _refusal(self, answer: ProviderAnswer) -> Exception:
        if answer.status >= _SERVER_ERROR:
            return self._http.unusable(f"the token endpoint answers {answer.status}")
        try:
            code = msgspec.json.decode(answer.body, type=TokenProblem).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            code = ""
        if code in _OURS:
            return OidcMisconfigured(
                f"the provider says {code}: compare OIDC_CLIENT_ID and OIDC_CLIENT_SECRET with what it has"
            )
        return OidcRefused(
            f"{self._settings.oidc_name} does not take the code, or no longer: begin again at auth/oidc"
        )
