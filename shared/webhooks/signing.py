"""Signatures of deliveries: Standard Webhooks 1.0.0, symmetric.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from datetime import datetime

_PREFIX = "whsec_"
_SALT_BYTES = 16
# Access tokens are signed with the same key: no token begins with these bytes.
_PURPOSE = b"modelyard webhook secret\x00"


def new_salt() -> bytes:
    """What makes a secret another."""
    return os.urandom(_SALT_BYTES)


def webhook_secret(lasting_key: str, *, salt: bytes) -> str:
    """The secret that a tenant, or the owner of an endpoint, verifies with; a new salt is a new secret.

    Args:
        lasting_key: `Settings.lasting_key`, which stays when SECRET_KEY is replaced.
    """
    digest = hmac.digest(lasting_key.encode(), _PURPOSE + salt, hashlib.sha256)
    return _PREFIX + base64.b64encode(digest).decode()


def signed_headers(
    secrets: Sequence[str], *, webhook_id: str, sent_at: datetime, body: bytes
) -> dict[str, str]:
    """The three headers by which a receiver knows who sent `body`, when, and for which event.

    Args:
        secrets: each signs, the newest first: a receiver accepts what one of them has signed.
    """
    timestamp = str(int(sent_at.timestamp()))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
