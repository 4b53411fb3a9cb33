"""Whether the settings of log-ins by OpenID Connect can be right."""

from urllib.parse import urlsplit


def check_oidc(*, issuer: str, client_id: str, scopes: str, https_only: bool) -> None:
    """Refuse what no provider can be used with; without an issuer there is none.

    Raises:
        ValueError: the text names the variable.
    """
    if not issuer:
        if client_id:
            raise ValueError("OIDC_CLIENT_ID is set without OIDC_ISSUER: set both, or neither")
        return
    url = urlsplit(issuer)
    if url.scheme not in {"https", "http"} or not url.hostname or url.query or url.fragment:
        raise ValueError(
            "OIDC_ISSUER: it is the provider's URL, such as https://login.example.com/realms/main"
        )
    if https_only and url.scheme != "https":
        raise ValueError("OIDC_ISSUER: in production it begins with https://, as it decides who logs in")
    if not client_id:
        raise ValueError("OIDC_CLIENT_ID: set what the provider calls this platform, beside OIDC_ISSUER")
    if "openid" not in scopes.split():
        raise ValueError("OIDC_SCOPES: without openid among them the provider proves nobody's identity")
