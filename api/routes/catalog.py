"""Models and their versions."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from api.attachment import attachment_headers
from api.model_upload import Description, ModelType, uploaded_body, uploaded_form
from api.openapi import answers
from api.paging import DEFAULT_LIMIT, NumberCursor, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from api.prefer import preferred_wait_s
from api.promotions import Promotions
from api.rate_limit import LIMITED_AS_UPLOAD
from api.request_bodies_described import RawBody, UploadForm
from api.room import refuse_without_room
from api.routes.catalog_answers import (
    ModelAnswer,
    UploadedAnswer,
    VersionAnswer,
    model_answer,
    upload_answer,
    version_answer,
)
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.catalog.catalog import Catalog, UploadedVersion
from shared.catalog.model_settings import SettingsChanges
from shared.database.engine import Database
from shared.jobs.usage import jobs_needing_model, jobs_needing_version
from shared.settings import Settings
from shared.storage.store import Storage

MOST_WAIT_S = 60.0

ModelRef = Annotated[str, PathParameter(description="Id or name of the model.", max_length=200)]
Number = Annotated[int, PathParameter(description="Number of the version.", ge=1, le=2**31 - 1)]
Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        description="`wait=n`: wait up to n seconds (at most 60) for the verdict; `wait=0` does not wait.",
    ),
]
PreferWarm = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        description="`wait=n`: wait up to n seconds (at most 60) until a worker has loaded the version.",
    ),
]


class ModelChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an owner can change of a model. What is not given stays."""

    JSON_SCHEMA: ClassVar = {"minProperties": 1}

    description: Description | UnsetType = UNSET
    settings: SettingsChanges | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.description is UNSET and self.settings is UNSET:
            raise ValueError("give a description or settings")


@post(
    "/upload",
    status_code=201,
    operation_class=UploadForm,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 409, 413, 415, 422),
)
async def upload_model(
    request: Request[Any, Any, Any],
    *,
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    settings: NamedDependency[Settings],
    prefer: Prefer = None,
) -> Response[UploadedAnswer]:
    """Upload a trained model as a multipart form. The same name again makes the model's next version.

    Waits for the verdict on the file. A rejected file is a version too: the answer is 201 all the same, its
    version's `status` is `rejected`, and `reason` says why and how to mend it; the version that served before
    goes on serving. If the verdict takes longer than the wait, `status` is `validating`: look again later.
    """
    await refuse_without_room(request, database, settings, tenant_id=caller.tenant_id)
    async with uploaded_form(request, storage, settings) as upload:
        await catalog.add_version(caller.tenant_id, upload, settings=settings)
    wait_s = preferred_wait_s(prefer, default_s=settings.verdict_wait_s, most_s=MOST_WAIT_S)
    return _created(await catalog.settled(caller.tenant_id, upload.version_id, wait_s=wait_s), settings)


@put(
    "/{model:str}/versions",
    status_code=201,
    operation_class=RawBody,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 404, 409, 413, 422),
)
async def put_version(
    request: Request[Any, Any, Any],
    *,
    model: ModelRef,
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    settings: NamedDependency[Settings],
    model_type: Annotated[ModelType | None, QueryParameter()] = None,
    prefer: Prefer = None,
) -> Response[UploadedAnswer]:
    """Upload the next version as the raw body, which is lighter than a form for big files.

    A name that is not there yet makes the model. With `Repr-Digest: sha-256=:…:` (RFC 9530) the bytes are
    compared on arrival. `Content-Disposition: attachment; filename="…"` names the file. Waits for the verdict
    as the form does.
    """
    await refuse_without_room(request, database, settings, tenant_id=caller.tenant_id)
    async with uploaded_body(request, storage, settings, model=model, model_type=model_type) as upload:
        await catalog.add_version(caller.tenant_id, upload, settings=settings)
    wait_s = preferred_wait_s(prefer, default_s=settings.verdict_wait_s, most_s=MOST_WAIT_S)
    return _created(await catalog.settled(caller.tenant_id, upload.version_id, wait_s=wait_s), settings)


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_models(
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    settings: NamedDependency[Settings],
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Page[ModelAnswer]:
    """The caller's models, the newest first."""
    before = from_cursor(cursor, UUID)
    found = await catalog.list_models(caller.tenant_id, before=before, limit=limit + 1)
    return to_page(
        found,
        limit,
        item=lambda shown: model_answer(shown, settings.public_url),
        cursor=lambda shown: shown.model.id,
    )


@get("/{model:str}", status_code=200, responses=answers(401, 404))
async def get_model(
    model: ModelRef,
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    settings: NamedDependency[Settings],
) -> ModelAnswer:
    """One model."""
    return model_answer(await catalog.show(caller.tenant_id, model), settings.public_url)


@patch("/{model:str}", status_code=200, responses=answers(400, 401, 404, 422))
async def change_model(
    model: ModelRef,
    data: JSONBody[ModelChanges],
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    settings: NamedDependency[Settings],
) -> ModelAnswer:
    """Change a model's description or settings.

    What is not given stays; a setting that is null gets its default. Settings take effect
    within a second, without an interruption.
    """
    shown = await catalog.change(
        caller.tenant_id,
        model,
        description=data.description,
        settings=data.settings,
        max_pinned=settings.max_pinned_replicas,
    )
    return model_answer(shown, settings.public_url)


@delete("/{model:str}", status_code=204, responses=answers(401, 404, 409))
async def delete_model(
    model: ModelRef, caller: NamedDependency[Caller], catalog: NamedDependency[Catalog]
) -> None:
    """Delete a model with all its versions. 409 while unfinished jobs need it."""
    await catalog.delete_model(caller.tenant_id, model, count_jobs=jobs_needing_model)


@get("/{model:str}/versions", status_code=200, responses=answers(400, 401, 404, 422))
async def list_versions(
    model: ModelRef,
    caller: NamedDependency[Caller],
    catalog: NamedDependency[Catalog],
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: NumberCursor = None,
) -> Page[VersionAnswer]:
    """A model's versions, the newest first."""
    before = from_cursor(cursor, int)
    row, found = await catalog.list_versions(caller.tenant_id, model, before=before, limit=limit + 1)
    return to_page(
        found, limit, item=lambda version: version_answer(version, row), cursor=lambda version: version.number
    )


@get("/{model:str}/versions/{number:int}", status_code=200, responses=answers(401, 404))
async def get_version(
    model: ModelRef, number: Number, caller: NamedDependency[Caller], catalog: NamedDependency[Catalog]
) -> VersionAnswer:
    """One version with its verdict: what opening the file found."""
    row, version = await catalog.find_version(caller.tenant_id, model, number)
    return version_answer(version, row)


@get(
    "/{model:str}/versions/{number:int}/artifact",
    status_code=200,
    media_type="application/octet-stream",
    responses=answers(401, 404),
)
async def get_artifact(
    model: ModelRef, number: Number, caller: NamedDependency[Caller], catalog: NamedDependency[Catalog]
) -> Stream:
    """The file that was uploaded, byte for byte, with its `Repr-Digest`."""
    _, version = await catalog.find_version(caller.tenant_id, model, number)
    headers = attachment_headers(
        version.file_name, size_bytes=version.artifact_size_bytes, digest=version.artifact_digest
    )
    return Stream(catalog.artifact(version), headers=headers)


@post("/{model:str}/versions/{number:int}/promote", status_code=200, responses=answers(401, 404, 409))
async def promote_version(
    *,
    model: ModelRef,
    number: Number,
    caller: NamedDependency[Caller],
    promotions: NamedDependency[Promotions],
    settings: NamedDependency[Settings],
    prefer: PreferWarm = None,
) -> ModelAnswer:
    """Make a version serve. 409 unless it is ready.

    Waits until a worker has loaded it, so that nobody meets a cold model; the version before serves
    meanwhile. If that takes longer than the wait, it serves all the same.
    """
    wait_s = preferred_wait_s(prefer, default_s=settings.warm_wait_s, most_s=MOST_WAIT_S)
    shown = await promotions.promote(caller.tenant_id, model, number, wait_s=wait_s)
    return model_answer(shown, settings.public_url)


@post("/{model:str}/rollback", status_code=200, responses=answers(401, 404, 409))
async def roll_back_model(
    model: ModelRef,
    caller: NamedDependency[Caller],
    promotions: NamedDependency[Promotions],
    settings: NamedDependency[Settings],
    prefer: PreferWarm = None,
) -> ModelAnswer:
    """Make the version serve that did before the present one. 409 if none did. Waits as promoting does."""
    wait_s = preferred_wait_s(prefer, default_s=settings.warm_wait_s, most_s=MOST_WAIT_S)
    shown = await promotions.roll_back(caller.tenant_id, model, wait_s=wait_s)
    return model_answer(shown, settings.public_url)


@delete("/{model:str}/versions/{number:int}", status_code=204, responses=answers(401, 404, 409))
async def delete_version(
    model: ModelRef, number: Number, caller: NamedDependency[Caller], catalog: NamedDependency[Catalog]
) -> None:
    """Delete a version. If it served, the one before serves again. 409 while unfinished jobs need it."""
    await catalog.delete_version(caller.tenant_id, model, number, count_jobs=jobs_needing_version)


def _created(uploaded: UploadedVersion, settings: Settings) -> Response[UploadedAnswer]:
    answer = upload_answer(uploaded, settings.public_url)
    location = f"/api/v1/models/{answer.id}/versions/{answer.version.number}"
    return Response(answer, status_code=201, headers={"Location": location})


catalog_routes = Router(
    "/models",
    route_handlers=[
        upload_model,
        put_version,
        list_models,
        get_model,
        change_model,
        delete_model,
        list_versions,
        get_version,
        get_artifact,
        promote_version,
        roll_back_model,
        delete_version,
    ],
    opt=needs(Scope.MODELS_WRITE, reading=Scope.MODELS_READ, by_model=True),
    tags=["Models"],
)
