"""Settings of log-ins by OpenID Connect that cannot be right are told at the start."""

import pytest

from shared.settings import Settings, SettingsInvalid

ENV = {
    "DATABASE_URL": "postgresql+asyncpg://me@localhost/x",
    "REDIS_URL": "redis://localhost/0",
    "STORAGE_URL": "file:///x",
    "SECRET_KEY": "c0ffee5e" + "7b9d1a3f" * 3 + "m4rk3d/hidden",
}
PRODUCTION = {"ENVIRONMENT": "production", "PUBLIC_URL": "https://models.example.com"}
PROVIDER = {"OIDC_ISSUER": "https://login.example.com/realms/main", "OIDC_CLIENT_ID": "modelyard"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"OIDC_CLIENT_ID": "modelyard"}, "OIDC_CLIENT_ID is set without OIDC_ISSUER"),
        ({"OIDC_ISSUER": "https://login.example.com"}, "OIDC_CLIENT_ID: set"),
        ({**PROVIDER, "OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER: it is the provider's URL"),
        (
            {**PROVIDER, "OIDC_ISSUER": "https://login.example.com?a=b"},
            "OIDC_ISSUER: it is the provider's URL",
        ),
        ({**PROVIDER, "OIDC_SCOPES": "email"}, "OIDC_SCOPES: without openid"),
        ({**PRODUCTION, **PROVIDER, "OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER: in production"),
    ],
)
def test_what_does_not_fit_is_named(given, reason):
    with pytest.raises(SettingsInvalid, match=reason):
        Settings.from_env({**ENV, **given})


def test_a_provider_is_enough_with_its_url_and_our_name_there():
    settings = Settings.from_env({**ENV, **PRODUCTION, **PROVIDER})

    assert settings.oidc_scopes == "openid email profile"
