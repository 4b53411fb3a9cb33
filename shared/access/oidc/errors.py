"""What can go wrong when somebody logs in at a provider."""

from shared.errors import NotAllowed, NotFound, OperatorError, Unauthenticated, Unavailable


class OidcOff(NotFound):
    """Nobody set up a provider."""

    code = "oidc_off"

    def __init__(self) -> None:
        super().__init__(
            "no log-in by OpenID Connect is set up here: whoever runs the platform sets OIDC_ISSUER"
        )


class OidcStateInvalid(Unauthenticated):
    """The log-in was not begun in this browser, or too long ago; or it has been finished."""

    code = "oidc_state_invalid"

    def __init__(self) -> None:
        super().__init__(
            "this log-in was not begun in this browser, took over ten minutes, or is finished: "
            "begin again at auth/oidc"
        )


class OidcRefused(Unauthenticated):
    """The provider, or who was asked there, said no."""

    code = "oidc_refused"


class OidcTokenInvalid(Unauthenticated):
    """What the provider sent does not prove who somebody is."""

    code = "oidc_token_invalid"


class OidcEmailUnverified(NotAllowed):
    """The provider does not vouch for the email address, or tells none."""

    code = "oidc_email_unverified"


class OidcDomainNotAllowed(NotAllowed):
    """Whoever runs the platform lets only addresses of other domains log in."""

    code = "oidc_domain_not_allowed"


class LinkTokenInvalid(Unauthenticated):
    """The link token is unknown, used, or older than ten minutes."""

    code = "link_token_invalid"


class IdentityForAnother(NotAllowed):
    """The identity has another email address than the account."""

    code = "identity_for_another"


class OidcUnavailable(Unavailable):
    """The provider does not answer, or says nothing of use."""

    code = "oidc_unavailable"


class OidcMisconfigured(OperatorError):
    """The provider and the settings do not fit together."""

    code = "oidc_misconfigured"
