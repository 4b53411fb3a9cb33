"""What callers are told of models and versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.catalog.catalog import UploadedVersion
from shared.catalog.lookup import ShownModel
from shared.catalog.model_settings import ModelSettings
from shared.catalog.service import verdict_of
from shared.catalog.signature import example_request
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.verdict import Reason, Signature, Verdict
from shared.catalog.version import VersionStatus


class VersionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded artifact.

    Attributes:
        serving: predictions that name no version are answered by this one.
        reason: why it was rejected, and how to mend it.
        verdict: what a model host found; null while the status is `validating`.
        digest: SHA-256 of the artifact, hexadecimal.
    """

    id: UUID
    number: int
    status: VersionStatus
    serving: bool
    reason: Reason | None
    model_type: str | None
    file_name: str
    size_bytes: int
    digest: str
    created_at: datetime
    ready_at: datetime | None
    verdict: Verdict | None


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A model.

    Status, type, signature and example are those of the version that serves, or of the newest where
    none does; null where every version was deleted.

    Attributes:
        current_version: number of the version that serves.
        endpoint: where to send rows.
        example_request: a body that the endpoint takes as it stands.
        settings: how it is served; `PATCH` changes them.
    """

    id: UUID
    name: str
    description: str
    model_type: str | None
    status: VersionStatus | None
    current_version: int | None
    signature: Signature | None
    endpoint: str
    example_request: dict[str, Any] | None
    settings: ModelSettings
    created_at: datetime
    updated_at: datetime


class UploadedAnswer(ModelAnswer, frozen=True, kw_only=True):
    """The model as it stands now, and its new version."""

    version: VersionAnswer


def model_answer(shown: ShownModel, public_url: str) -> ModelAnswer:
    """A model, for its owner."""
    return ModelAnswer(**_model_fields(shown, public_url))


def upload_answer(uploaded: UploadedVersion, public_url: str) -> UploadedAnswer:
    """The answer to an upload."""
    version = version_answer(uploaded.version, uploaded.shown.model)
    return UploadedAnswer(**_model_fields(uploaded.shown, public_url), version=version)


def version_answer(version: VersionRow, model: ModelRow) -> VersionAnswer:
    """A version, for its owner."""
    verdict = verdict_of(version) if version.verdict else None
    return VersionAnswer(
        id=version.id,
        number=version.number,
        status=VersionStatus(version.status),
        serving=version.id == model.current_version_id,
        reason=verdict.reason if verdict else None,
        model_type=_model_type(version, verdict),
        file_name=version.file_name,
        size_bytes=version.artifact_size_bytes,
        digest=version.artifact_digest,
        created_at=version.created_at,
        ready_at=version.ready_at,
        verdict=verdict,
    )


def _model_fields(shown: ShownModel, public_url: str) -> dict[str, Any]:
    model, version = shown.model, shown.version
    verdict = verdict_of(version) if version and version.verdict else None
    signature = verdict.signature if verdict else None
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "model_type": _model_type(version, verdict) if version else None,
        "status": VersionStatus(version.status) if version else None,
        "current_version": version.number if version and version.id == model.current_version_id else None,
        "signature": signature,
        "endpoint": f"{public_url}/api/v1/predict/{model.id}",
        "example_request": example_request(signature) if signature else None,
        "settings": ModelSettings.from_stored(model.settings),
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }


def _model_type(version: VersionRow, verdict: Verdict | None) -> str | None:
    """What the file turned out to be; until that is known, what its owner said."""
    return (verdict.runtime if verdict else None) or version.model_type
