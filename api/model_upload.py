"""Artifacts on their way from a request into storage. If the block raises, they are removed again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from msgspec import Meta
from multipart import parse_content_disposition

from api.multipart_stream import FilePart, StoredFile, stored_form, tidy_file_name
from api.repr_digest import verify_digest
from api.request_body import body_pieces, refuse_beyond
from shared.catalog.naming import check_name
from shared.catalog.upload import Upload, artifact_key, sample_key
from shared.errors import InvalidInput
from shared.ids import new_id, parse_id
from shared.settings import Settings
from shared.storage.object_files import Written
from shared.storage.store import Storage

ModelType = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,50}$", description="What you say it is: `sklearn`.")
]
Description = Annotated[str, Meta(max_length=10_000, pattern=r"^[^\x00]*$")]


class UploadFields(msgspec.Struct, frozen=True, kw_only=True):
    """The text fields of the upload form."""

    name: str
    model_type: ModelType | None = None
    description: Description | None = None


@asynccontextmanager
async def uploaded_form(
    request: Request[Any, Any, Any], storage: Storage, settings: Settings
) -> AsyncIterator[Upload]:
    """The upload that a multipart form holds."""
    version_id = new_id()
    files = [
        FilePart(name="file", key=artifact_key(version_id), max_bytes=settings.upload_max_bytes),
        FilePart(
            name="sample", key=sample_key(version_id), max_bytes=settings.sample_max_bytes, required=False
        ),
    ]
    async with stored_form(request, storage, files=files, fields=UploadFields.__struct_fields__) as form:
        fields = form.fields_as(UploadFields)
        sample = form.files.get("sample")
        yield _upload(
            version_id,
            form.files["file"],
            model=check_name(fields.name),
            description=fields.description,
            model_type=fields.model_type,
            sample=sample,
        )


@asynccontextmanager
async def uploaded_body(
    request: Request[Any, Any, Any],
    storage: Storage,
    settings: Settings,
    *,
    model: str,
    model_type: str | None,
) -> AsyncIterator[Upload]:
    """The upload whose artifact is the whole body.

    Args:
        model: a name, or the id of a model that is there.

    Raises:
        InvalidModelName, TooLarge, InvalidInput, DigestMismatch: it cannot be accepted.
    """
    name = model if parse_id(model) else check_name(model)
    refuse_beyond(settings.upload_max_bytes, request)
    version_id = new_id()
    key = artifact_key(version_id)
    try:
        written = await storage.write(key, body_pieces(request), max_bytes=settings.upload_max_bytes)
        _accept(written, request)
        file = StoredFile(
            file_name=_file_name(request) or name,
            key=key,
            size_bytes=written.size_bytes,
            digest=written.digest,
        )
        yield _upload(version_id, file, model=name, model_type=model_type)
    except BaseException:
        await storage.delete(key)
        raise


def _accept(written: Written, request: Request[Any, Any, Any]) -> None:
    if not written.size_bytes:
        raise InvalidInput("the body is empty; send the model's file as it is")
    verify_digest(request.headers.get("repr-digest"), written.digest)


def _upload(
    version_id: UUID,
    file: StoredFile,
    *,
    model: str,
    model_type: str | None,
    description: str | None = None,
    sample: StoredFile | None = None,
) -> Upload:
    return Upload(
        version_id=version_id,
        model=model,
        description=description,
        model_type=model_type,
        file_name=file.file_name,
        artifact_key=file.key,
        artifact_digest=file.digest,
        artifact_size_bytes=file.size_bytes,
        sample_key=sample.key if sample else None,
        sample_size_bytes=sample.size_bytes if sample else 0,
    )


def _file_name(request: Request[Any, Any, Any]) -> str:
    """What `Content-Disposition` calls the file, if it is there."""
    _, _, file_name = parse_content_disposition(request.headers.get("content-disposition", ""))
    return tidy_file_name(file_name or "")
