"""Which secrets sign: the present one, and for a while after a rotation the one before."""

from datetime import datetime, timedelta

from shared.access.tables import Tenant
from shared.settings import Settings
from shared.webhooks.signing import new_salt, webhook_secret
from shared.webhooks.tables import EndpointRow


def endpoint_secrets(endpoint: EndpointRow, settings: Settings, *, now: datetime) -> list[str]:
    """What signs the deliveries to an endpoint, the newest first."""
    before = _salt_in_use(endpoint.salt_before, endpoint.salt_before_until, now)
    return _secrets(endpoint.salt, before, settings)


def tenant_secrets(tenant: Tenant, settings: Settings, *, now: datetime) -> list[str]:
    """What signs the deliveries to `callback_url`s, the newest first."""
    before = _salt_in_use(tenant.webhook_salt_before, tenant.webhook_salt_before_until, now)
    return _secrets(tenant.webhook_salt, before, settings)


def rotate_endpoint(endpoint: EndpointRow, settings: Settings, *, now: datetime) -> None:
    """Give the endpoint another secret. Of two rotations in a row only the last one's overlap is left."""
    endpoint.salt_before, endpoint.salt_before_until = endpoint.salt, _overlap_end(settings, now)
    endpoint.salt = new_salt()


def rotate_tenant(tenant: Tenant, settings: Settings, *, now: datetime) -> None:
    """Give the tenant another secret for its `callback_url`s."""
    tenant.webhook_salt_before, tenant.webhook_salt_before_until = (
        tenant.webhook_salt,
        _overlap_end(settings, now),
    )
    tenant.webhook_salt = new_salt()


def _overlap_end(settings: Settings, now: datetime) -> datetime:
    return now + timedelta(seconds=settings.webhook_secret_overlap_s)


def _salt_in_use(salt: bytes | None, until: datetime | None, now: datetime) -> bytes | None:
    return salt if until is not None and now < until else None


def _secrets(salt: bytes, before: bytes | None, settings: Settings) -> list[str]:
    salts = [salt] if before is None else [salt, before]
    return [webhook_secret(settings.lasting_key, salt=each) for each in salts]
