"""The environment that the platform's processes get: the settings, and nothing of whoever started them."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from deploy.local.command import basic_environment
from shared.settings import Settings

# Somebody tries the platform on their own machine: lines to read, webhooks to own programs and inputs
# from them, a quick end.
DEVELOPMENT = {
    "ENVIRONMENT": "development",
    "ALLOW_PRIVATE_WEBHOOKS": "true",
    "ALLOW_PRIVATE_INPUTS": "true",
    "LOG_FORMAT": "console",
    "DRAIN_S": "0",
    "SANDBOX": "warn",  # Macs have none; where there is one, it holds all the same
}

# Storage in a bucket, uv and requests to the outside find these by themselves.
_PASSED_ON = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "TZ",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CERT",
)
_PASSED_ON_WITH = ("AWS_", "UV_")


class Secrets(msgspec.Struct, frozen=True):
    """Made at the first start, and kept: the servers' data and everybody's tokens depend on them."""

    postgres_password: str
    redis_password: str
    secret_key: str


def kept_secrets(path: Path) -> Secrets:
    """The secrets in the file, which is made if it is not there, for its owner's eyes alone."""
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(msgspec.json.encode(Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))))
        unfinished.rename(path)
    return msgspec.json.decode(path.read_bytes(), type=Secrets)


def platform_environment(started_here: Mapping[str, str]) -> dict[str, str]:
    """What our processes find in their environment.

    Args:
        started_here: what the launcher says of its own servers; variables that are set win over it.
    """
    settings = {name.upper() for name in Settings.__struct_fields__}
    wanted = {
        name: value
        for name, value in os.environ.items()
        if value and (name in settings or name in _PASSED_ON or name.startswith(_PASSED_ON_WITH))
    }
    return basic_environment() | {"PYTHONUNBUFFERED": "1"} | DEVELOPMENT | dict(started_here) | wanted
