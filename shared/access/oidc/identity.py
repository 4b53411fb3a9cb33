"""Who somebody is, by the word of a provider. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.access.oidc.errors import OidcDomainNotAllowed, OidcEmailUnverified
from shared.access.registration import normal_email
from shared.errors import InvalidInput

_NAME_MAX: Final = 200


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at a provider. Subjects last; addresses and names may change."""

    issuer: str
    subject: str
    email: str  # that the provider has verified, as accounts spell it
    full_name: str


def identity_of(claims: Mapping[str, Any], *, allowed_domains: str) -> Identity:
    """Who the claims are about.

    Args:
        allowed_domains: of email addresses, comma between; empty: any.

    Raises:
        OidcEmailUnverified: the provider does not vouch for an address.
        OidcDomainNotAllowed: the address is of another domain.
    """
    email = _verified_email(claims)
    allowed = {domain.strip().lower() for domain in allowed_domains.split(",") if domain.strip()}
    if allowed and email.rpartition("@")[2] not in allowed:
        raise OidcDomainNotAllowed("whoever runs the platform does not let addresses of this domain log in")
    return Identity(
        issuer=claims["iss"], subject=claims["sub"], email=email, full_name=_printable(claims.get("name"))
    )


def _verified_email(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    verified = claims.get("email_verified")
    # Some providers spell the boolean as a text.
    if not isinstance(email, str) or not (verified is True or verified == "true"):
        raise OidcEmailUnverified(
            "the provider has not verified your email address, or does not tell it: verify it there; whoever "
            "runs the platform sees to it that OIDC_SCOPES holds email"
        )
    try:
        return normal_email(email)
    except InvalidInput:
        raise OidcEmailUnverified("what the provider tells as your email address is none") from None


def _printable(name: object) -> str:
    text = name if isinstance(name, str) else ""
    return "".join(character for character in text if character.isprintable()).strip()[:_NAME_MAX]
