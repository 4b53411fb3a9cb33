"""What a provider says of itself (OpenID Connect Discovery 1.0). No I/O."""

from typing import Any, Final

import msgspec

from shared.access.oidc.errors import OidcMisconfigured
from shared.outbound.web_address import parsed_url

WELL_KNOWN: Final = "/.well-known/openid-configuration"

# What can be checked with a public key alone. With HS256 the key would be the client's secret, and a public
# key that is taken for one could be anybody's.
ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The part that is used here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    def algorithms(self) -> frozenset[str]:
        """By which ID tokens may be signed."""
        return ASYMMETRIC & set(self.id_token_signing_alg_values_supported)

    def check(self, issuer: str) -> None:
        """Accept it as that of `issuer`.

        Raises:
            OidcMisconfigured: it is another's, cannot be used, or would send secrets in the clear.
        """
        if self.issuer != issuer:
            raise OidcMisconfigured(
                f"OIDC_ISSUER is {issuer!r}, and the provider calls itself {self.issuer!r}"
            )
        schemes = {"https"} if issuer.startswith("https:") else {"https", "http"}
        for url in self._endpoints():
            parsed = parsed_url(url)
            if parsed is None or parsed.scheme not in schemes or not parsed.host:
                raise OidcMisconfigured(f"the provider names {url!r}, which is no {' or '.join(schemes)} URL")
        if not self.algorithms():
            raise OidcMisconfigured("the provider signs its ID tokens by no algorithm with a public key")

    def _endpoints(self) -> tuple[str, ...]:
        needed = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri)
        return (*needed, self.userinfo_endpoint) if self.userinfo_endpoint else needed


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a code is exchanged for."""

    access_token: str
    id_token: str


class TokenProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why it is not (RFC 6749, section 5.2)."""

    error: str = ""


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's public keys (RFC 7517)."""

    keys: tuple[dict[str, Any], ...]
