"""Models and versions as the audit log tells of them."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.catalog.tables import ModelRow, VersionRow


def model_target(model: ModelRow) -> Target:
    """The model."""
    return Target(type="model", id=model.id, name=model.name)


def version_target(model_name: str, version: VersionRow) -> Target:
    """The version, as `iris/2`."""
    return Target(type="version", id=version.id, name=f"{model_name}/{version.number}")


async def stated(session: AsyncSession, model: ModelRow) -> dict[str, Any]:
    """What can be changed of a model; `version` is the number of the one that serves."""
    query = select(VersionRow.number).where(VersionRow.id == model.current_version_id)
    number = None if model.current_version_id is None else await session.scalar(query)
    return {"description": model.description, "settings": dict(model.settings), "version": number}


def version_stated(version: VersionRow) -> dict[str, Any]:
    """What is worth knowing of a version when it comes and when it goes."""
    return {
        "model_id": version.model_id,
        "file_name": version.file_name,
        "size_bytes": version.artifact_size_bytes,
        "sha256": version.artifact_digest,
    }
