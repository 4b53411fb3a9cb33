"""Recording an artifact that is in storage as the next version of its model."""

from uuid import UUID

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import ModelNotGranted, granted_models
from shared.catalog.errors import ModelNotFound
from shared.catalog.lookup import find_model
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.version import VersionStatus
from shared.clock import utc_now
from shared.ids import new_id, parse_id


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact in storage, and what its owner says of it.

    Attributes:
        model: name, or the id of a model that is there.
        description: None leaves the model's as it is.
        model_type: what the owner says it is.
    """

    version_id: UUID
    model: str
    description: str | None = None
    model_type: str | None = None
    file_name: str
    artifact_key: str
    artifact_digest: str
    artifact_size_bytes: int
    sample_key: str | None = None
    sample_size_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Of all that it has in storage."""
        return self.artifact_size_bytes + self.sample_size_bytes


def artifact_key(version_id: UUID) -> str:
    """Where a version's artifact lies in storage."""
    return f"artifacts/{version_id}"


def sample_key(version_id: UUID) -> str:
    """Where its example rows lie."""
    return f"samples/{version_id}"


async def insert_version(session: AsyncSession, tenant_id: UUID, upload: Upload) -> VersionRow:
    """The next version of the upload's model, which is made if there is none of that name.

    Raises:
        ModelNotFound: the model is named by an id, and there is none.
        ModelNotGranted: whoever acts is confined to other models.
    """
    if granted_models() is not None:
        await _hold_granted(session, tenant_id, upload.model)
    model_id = parse_id(upload.model)
    if model_id is None:
        model = await _count_up_or_make(session, tenant_id, upload)
    else:
        model = await _count_up(session, tenant_id, model_id, upload)
    version = VersionRow(
        id=upload.version_id,
        model_id=model.id,
        number=model.last_version_number,
        status=VersionStatus.VALIDATING,
        model_type=upload.model_type,
        file_name=upload.file_name,
        artifact_key=upload.artifact_key,
        artifact_digest=upload.artifact_digest,
        artifact_size_bytes=upload.artifact_size_bytes,
        sample_key=upload.sample_key,
        sample_size_bytes=upload.sample_size_bytes if upload.sample_key else None,
    )
    session.add(version)
    await session.flush()
    return version


async def _hold_granted(session: AsyncSession, tenant_id: UUID, model: str) -> None:
    """Locked, so that it cannot give way to a new one of its name."""
    try:
        await find_model(session, tenant_id, model, lock=True)
    except ModelNotFound:
        raise ModelNotGranted(
            f"the API key is confined to some models, and {model!r} is none of them: it makes no new ones"
        ) from None


async def _count_up_or_make(session: AsyncSession, tenant_id: UUID, upload: Upload) -> ModelRow:
    """One statement, so that of two first uploads at once one makes the model and the other waits for it."""
    made = insert(ModelRow).values(
        id=new_id(),
        tenant_id=tenant_id,
        name=upload.model,
        description=upload.description or "",
        last_version_number=1,
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    counted = made.on_conflict_do_update(
        index_elements=[ModelRow.tenant_id, ModelRow.name], set_=_changes(upload)
    )
    return (await session.scalars(counted.returning(ModelRow))).one()


async def _count_up(session: AsyncSession, tenant_id: UUID, model_id: UUID, upload: Upload) -> ModelRow:
    counted = (
        update(ModelRow)
        .where(ModelRow.tenant_id == tenant_id, ModelRow.id == model_id)
        .values(_changes(upload))
        .returning(ModelRow)
    )
    model = await session.scalar(counted)
    if model is None:
        raise ModelNotFound(upload.model)
    return model


def _changes(upload: Upload) -> dict[str, object]:
    changes: dict[str, object] = {
        "last_version_number": ModelRow.last_version_number + 1,
        "updated_at": utc_now(),
    }
    return changes if upload.description is None else {**changes, "description": upload.description}
