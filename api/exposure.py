"""How an API process is exposed to others: looked at once, before it listens."""

import ssl
from pathlib import Path
from typing import Any

import structlog

from shared.settings import Settings, SettingsInvalid

log = structlog.get_logger()


def check_exposure(settings: Settings) -> None:
    """Refuse to be reached in a way that cannot work, and log what an operator should know of.

    Raises:
        SettingsInvalid: the text says what to set.
    """
    _check_tls(settings)
    if settings.environment != "production":
        return
    if not settings.tls_certificate and not settings.trusted_proxies:
        raise SettingsInvalid(
            "production is reached by HTTPS alone: set TLS_CERTIFICATE and TLS_KEY, or TRUSTED_PROXIES to "
            "the networks of the proxy that speaks HTTPS for it"
        )
    for variable in _risks(settings):
        log.warning("a setting for one's own desk is on in production", variable=variable)


def tls_arguments(settings: Settings) -> dict[str, Any]:
    """What uvicorn needs for HTTPS; nothing where a proxy speaks it."""
    if not settings.tls_certificate:
        return {}
    return {"ssl_certfile": settings.tls_certificate, "ssl_keyfile": settings.tls_key}


def _check_tls(settings: Settings) -> None:
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsInvalid("TLS_CERTIFICATE and TLS_KEY belong together: set both, or none")
    for variable, path in (("TLS_CERTIFICATE", settings.tls_certificate), ("TLS_KEY", settings.tls_key)):
        if path and not Path(path).is_file():
            raise SettingsInvalid(f"{variable}: there is no file {path}")
    if settings.tls_certificate:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                settings.tls_certificate,
                settings.tls_key,
                password=lambda: "",  # else OpenSSL asks at the terminal for that of an encrypted key
            )
        except (ssl.SSLError, OSError) as error:
            raise SettingsInvalid(
                f"TLS_CERTIFICATE, TLS_KEY: not a chain and its key, in PEM, unencrypted: {error}"
            ) from None


def _risks(settings: Settings) -> list[str]:
    """Variables whose present value is meant for a desk, and may yet be right in a network of one's own."""
    risky = {
        "ALLOW_PRIVATE_WEBHOOKS": settings.allow_private_webhooks,
        "ALLOW_PRIVATE_INPUTS": settings.allow_private_inputs,
        "SANDBOX=warn": settings.sandbox == "warn",
        "PICKLES=any": settings.pickles == "any",
        "CORS_ORIGINS=*": "*" in settings.cors_origins,
    }
    return [variable for variable, is_on in risky.items() if is_on]
