"""Endpoints for those who own them."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.database.now import database_now
from shared.database.tenant_lock import lock_tenant
from shared.ids import parse_id
from shared.settings import Settings
from shared.webhooks.acts import note_webhook, stated
from shared.webhooks.callback_url import check_callback_url
from shared.webhooks.circuit import close_circuit, lock_deliveries
from shared.webhooks.delivery import DisabledReason
from shared.webhooks.disabling import disable
from shared.webhooks.errors import TooManyWebhooks, WebhookDisabled, WebhookNotFound
from shared.webhooks.events import checked_events
from shared.webhooks.request import NewWebhook, WebhookChanges
from shared.webhooks.secrets import endpoint_secrets, rotate_endpoint
from shared.webhooks.signing import new_salt
from shared.webhooks.tables import EndpointRow


async def find_endpoint(session: AsyncSession, tenant_id: UUID, webhook: str) -> EndpointRow:
    """The tenant's endpoint.

    Raises:
        WebhookNotFound: there is none, or it is another tenant's.
    """
    query = select(EndpointRow).where(EndpointRow.tenant_id == tenant_id, EndpointRow.id == parse_id(webhook))
    endpoint = await session.scalar(query.execution_options(populate_existing=True))
    if endpoint is None:
        raise WebhookNotFound
    return endpoint


async def find_enabled(session: AsyncSession, tenant_id: UUID, webhook: str) -> EndpointRow:
    """The same, if events are sent to it.

    Raises:
        WebhookNotFound: there is none, or it is another tenant's.
        WebhookDisabled: nothing is sent to it.
    """
    endpoint = await find_endpoint(session, tenant_id, webhook)
    if not endpoint.enabled:
        raise WebhookDisabled
    return endpoint


class Endpoints:
    """What the owners of endpoints can do with them."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database

    async def create(self, caller: Caller, asked: NewWebhook) -> tuple[EndpointRow, str]:
        """Have events sent to an address; the endpoint and its secret.

        Raises:
            CallbackUrlRefused: they may not be sent there.
            UnknownEvents: there are no such events.
            TooManyWebhooks: the tenant has as many as it may.
        """
        check_callback_url(asked.url, self._settings, pointer="/url")
        events = checked_events(asked.events)
        async with self._database.transaction() as session:
            await self._make_room(session, caller.tenant_id)
            endpoint = EndpointRow(
                tenant_id=caller.tenant_id,
                user_id=caller.user_id,
                url=asked.url,
                events=events,
                description=asked.description,
                enabled=asked.enabled,
                salt=new_salt(),
            )
            _note_owners_wish(endpoint)
            session.add(endpoint)
            await session.flush()
            await session.refresh(endpoint)
            await note_webhook(session, endpoint, "webhook.create", after=stated(endpoint))
            return endpoint, await self._secret(session, endpoint)

    async def get(self, tenant_id: UUID, webhook: str) -> EndpointRow:
        """An endpoint.

        Raises:
            WebhookNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            return await find_endpoint(session, tenant_id, webhook)

    async def list_newest(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[EndpointRow]:
        """Up to `limit` of them, the newest first, made before the one with the id `before`."""
        query = select(EndpointRow).where(EndpointRow.tenant_id == tenant_id)
        if before is not None:
            query = query.where(EndpointRow.id < before)
        async with self._database.transaction() as session:
            return list(await session.scalars(query.order_by(EndpointRow.id.desc()).limit(limit)))

    async def change(self, tenant_id: UUID, webhook: str, changes: WebhookChanges) -> EndpointRow:
        """Change what is said of an endpoint. Another URL, or enabling it, makes it begin anew.

        Raises:
            WebhookNotFound: there is none, or it is another tenant's.
            CallbackUrlRefused: events may not be sent there.
            UnknownEvents: there are no such events.
        """
        given = changes.given()
        if "url" in given:
            check_callback_url(given["url"], self._settings, pointer="/url")
        if "events" in given:
            given["events"] = checked_events(given["events"])
        async with self._database.transaction() as session:
            endpoint = await self._locked(session, tenant_id, webhook)
            was_enabled, before = endpoint.enabled, stated(endpoint)
            for name, value in given.items():
                setattr(endpoint, name, value)
            if was_enabled and not endpoint.enabled:
                await disable(session, endpoint, DisabledReason.OWNER)
            elif endpoint.enabled:
                endpoint.disabled_at = endpoint.disabled_reason = None
            if "url" in given or (endpoint.enabled and not was_enabled):
                await close_circuit(session, tenant_id, str(endpoint.id))
            await note_webhook(session, endpoint, "webhook.change", before=before, after=stated(endpoint))
            return endpoint

    async def delete(self, tenant_id: UUID, webhook: str) -> None:
        """Forget an endpoint, with its deliveries.

        Raises:
            WebhookNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            endpoint = await self._locked(session, tenant_id, webhook)
            await close_circuit(session, tenant_id, str(endpoint.id))
            await note_webhook(session, endpoint, "webhook.delete", before=stated(endpoint))
            await session.delete(endpoint)

    async def read_secret(self, tenant_id: UUID, webhook: str) -> str:
        """The secret that its deliveries are signed with.

        Raises:
            WebhookNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            return await self._secret(session, await find_endpoint(session, tenant_id, webhook))

    async def rotate(self, tenant_id: UUID, webhook: str) -> tuple[EndpointRow, str]:
        """Give it another secret; for a while the one before signs too.

        Raises:
            WebhookNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            endpoint = await self._locked(session, tenant_id, webhook)
            rotate_endpoint(endpoint, self._settings, now=await database_now(session))
            await note_webhook(session, endpoint, "webhook.rotate")
            return endpoint, await self._secret(session, endpoint)

    async def _locked(self, session: AsyncSession, tenant_id: UUID, webhook: str) -> EndpointRow:
        await lock_deliveries(session, tenant_id)
        return await find_endpoint(session, tenant_id, webhook)

    async def _secret(self, session: AsyncSession, endpoint: EndpointRow) -> str:
        return endpoint_secrets(endpoint, self._settings, now=await database_now(session))[0]

    async def _make_room(self, session: AsyncSession, tenant_id: UUID) -> None:
        await lock_tenant(session, tenant_id)
        query = select(func.count()).select_from(EndpointRow).where(EndpointRow.tenant_id == tenant_id)
        most = self._settings.max_webhooks
        if (await session.scalar(query) or 0) >= most:
            raise TooManyWebhooks(most)


def _note_owners_wish(endpoint: EndpointRow) -> None:
    if not endpoint.enabled:
        endpoint.disabled_reason, endpoint.disabled_at = DisabledReason.OWNER, func.now()
