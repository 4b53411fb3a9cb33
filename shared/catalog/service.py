"""The catalog for those who serve: what answers for a model, and the verdicts on new versions."""

from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import Granted, granted_models, is_granted
from shared.audit.log import record_audit
from shared.catalog.acts import model_target
from shared.catalog.errors import ModelNotFound, VersionNotFound, VersionNotServable
from shared.catalog.lookup import is_called
from shared.catalog.model_settings import ModelSettings
from shared.catalog.serving import promote_if_newest
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.verdict import Reason, Signature, Verdict
from shared.catalog.version import SERVABLE, VersionStatus

VALIDATION_ATTEMPTS = 3  # a file that took this many workers down is rejected
_UNHEARD_AFTER = timedelta(seconds=5)  # a version that nobody claimed this long after it was made

DEADLY_ARTIFACT = Verdict(
    status="rejected",
    reason=Reason(
        code="validation_crashed",
        message=f"the process that opened the file died {VALIDATION_ATTEMPTS} times",
        remedy="check that the file loads where it was made and fits into memory, then upload it again",
    ),
)


class ServingVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that can answer, and what it takes to ask it."""

    model_id: UUID
    model_name: str
    version_id: UUID
    number: int
    status: VersionStatus  # ready or degraded
    artifact_key: str
    artifact_digest: str
    signature: Signature
    deterministic: bool = False  # the same rows get the same answers, as far as was tried
    settings: ModelSettings = ModelSettings()

    @property
    def cache_ttl_ms(self) -> int:
        """For how long its replies are stored; 0: not at all."""
        wanted = self.settings.cache
        caches = self.deterministic if wanted is None else wanted
        return self.settings.cache_ttl_s * 1000 if caches else 0


async def serving_version(
    session: AsyncSession,
    tenant_id: UUID,
    model: str,
    number: int | None = None,
    *,
    granted: Granted | UnsetType = UNSET,
) -> ServingVersion:
    """The version that answers for the tenant's model.

    Args:
        model: id or name.
        number: of the version asked for; None for the one that serves.
        granted: the models that it may be of; where it is not given, those of whoever acts.

    Raises:
        ModelNotFound, VersionNotFound: not there, another tenant's, or not granted.
        VersionNotServable: no version serves, or the one asked for cannot; the text says why.
    """
    wanted = (
        VersionRow.id == ModelRow.current_version_id
        if number is None
        else and_(VersionRow.model_id == ModelRow.id, VersionRow.number == number)
    )
    granted = granted_models() if granted is UNSET else granted
    rows = await session.execute(
        select(ModelRow, VersionRow)
        .outerjoin(VersionRow, wanted)
        .where(ModelRow.tenant_id == tenant_id, is_called(model), is_granted(ModelRow.id, granted))
    )
    found = rows.one_or_none()
    if found is None:
        raise ModelNotFound(model)
    return _servable(*found, number)


async def claim_validation(session: AsyncSession, version_id: UUID, *, lease_s: float) -> VersionRow | None:
    """Take the lease on a version's validation, and count the attempt.

    Returns:
        The version; None where it is gone, has its verdict, or another worker holds the lease. Once
        `validation_attempts` is above VALIDATION_ATTEMPTS its verdict is DEADLY_ARTIFACT.
    """
    claim = (
        update(VersionRow)
        .where(VersionRow.id == version_id, VersionRow.status == VersionStatus.VALIDATING)
        .where(or_(VersionRow.lease_until.is_(None), VersionRow.lease_until < func.now()))
        .values(
            lease_until=func.now() + timedelta(seconds=lease_s),
            validation_attempts=VersionRow.validation_attempts + 1,
        )
        .returning(VersionRow)
    )
    return await session.scalar(claim)


async def record_verdict(session: AsyncSession, version_id: UUID, verdict: Verdict) -> bool:
    """Write what a model host said of the version; a ready one serves unless a later one does.

    Safe to repeat: the first verdict stands. Announce the version after the commit.

    Returns:
        False where the version is gone or has its verdict.
    """
    model = await session.scalar(
        select(ModelRow)
        .join(VersionRow, VersionRow.model_id == ModelRow.id)
        .where(VersionRow.id == version_id)
        .with_for_update(of=ModelRow)
    )
    if model is None:
        return False
    version = await session.scalar(
        update(VersionRow)
        .where(VersionRow.id == version_id, VersionRow.status == VersionStatus.VALIDATING)
        .values(
            status=verdict.status,
            verdict=msgspec.to_builtins(verdict),
            ready_at=func.now() if verdict.status == "ready" else None,
            lease_until=None,
        )
        .returning(VersionRow)
    )
    if version is None:
        return False
    if version.status == VersionStatus.READY:
        await promote_if_newest(session, model, version)
        await _note_promotion(session, model, version)
    return True


async def _note_promotion(session: AsyncSession, model: ModelRow, version: VersionRow) -> None:
    if model.current_version_id == version.id:
        target, after = model_target(model), {"version": version.number}
        await record_audit(
            session, action="model.promote", target=target, after=after, tenant_id=model.tenant_id
        )


async def renew_validation(session: AsyncSession, version_id: UUID, *, lease_s: float) -> None:
    """Keep the lease for so much longer, where there is still a verdict to come."""
    await session.execute(
        update(VersionRow)
        .where(VersionRow.id == version_id, VersionRow.status == VersionStatus.VALIDATING)
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
    )


async def give_back_validation(session: AsyncSession, version_id: UUID) -> None:
    """Let another attempt at the verdict begin at once. The attempt that was made stays counted."""
    await session.execute(
        update(VersionRow)
        .where(VersionRow.id == version_id, VersionRow.status == VersionStatus.VALIDATING)
        .values(lease_until=None)
    )


async def mark_degraded(session: AsyncSession, version_id: UUID) -> UUID | None:
    """Note that the version's host crashes again and again.

    Returns:
        The id of its model; None where that was known, or the version is gone.
    """
    mark = (
        update(VersionRow)
        .where(VersionRow.id == version_id, VersionRow.status == VersionStatus.READY)
        .values(status=VersionStatus.DEGRADED)
        .returning(VersionRow.model_id)
    )
    return await session.scalar(mark)


async def lost_validations(session: AsyncSession) -> list[UUID]:
    """Versions that wait for their verdict while no worker holds them: ask for them again."""
    unheard = and_(VersionRow.lease_until.is_(None), VersionRow.created_at < func.now() - _UNHEARD_AFTER)
    query = select(VersionRow.id).where(
        VersionRow.status == VersionStatus.VALIDATING, or_(VersionRow.lease_until < func.now(), unheard)
    )
    return list(await session.scalars(query))


def _servable(model: ModelRow, version: VersionRow | None, number: int | None) -> ServingVersion:
    if version is None and number is not None:
        raise VersionNotFound(model.name, number)
    if version is None:
        raise VersionNotServable(
            f"no version of {model.name!r} is ready to serve: models/{model.name}/versions says why"
        )
    if version.status not in SERVABLE:
        raise VersionNotServable(_why_not(model, version))
    return ServingVersion(
        model_id=model.id,
        model_name=model.name,
        version_id=version.id,
        number=version.number,
        status=VersionStatus(version.status),
        artifact_key=version.artifact_key,
        artifact_digest=version.artifact_digest,
        signature=signature_of(version),
        deterministic=verdict_of(version).deterministic,
        settings=ModelSettings.from_stored(model.settings),
    )


def _why_not(model: ModelRow, version: VersionRow) -> str:
    text = f"version {version.number} of {model.name!r} is {version.status}"
    reason = verdict_of(version).reason if version.verdict else None
    return f"{text}: {reason.message}" if reason else text


def verdict_of(version: VersionRow) -> Verdict:
    """The verdict of a version that has one."""
    return msgspec.convert(version.verdict, Verdict)


def signature_of(version: VersionRow) -> Signature:
    """The signature of a version that is ready."""
    signature = verdict_of(version).signature
    if signature is None:
        raise VersionNotServable(f"version {version.number} has no signature")
    return signature
