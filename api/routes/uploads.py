"""Uploads: files for jobs that are too large for one request to be sure of.

Headers and behaviour are those of draft-ietf-httpbis-resumable-upload; an upload is begun with JSON, and its
answers are JSON too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, head, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from api.multipart_stream import tidy_file_name
from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from api.rate_limit import LIMITED_AS_UPLOAD
from api.repr_digest import announced_digest
from api.request_bodies_described import BodyIfAny, binary
from api.request_body import body_pieces, refuse_beyond
from api.upload_headers import (
    MOST_BYTES,
    UploadComplete,
    UploadLength,
    UploadOffset,
    WholeDigest,
    announced_size,
    offset_of,
    says_complete,
    upload_headers,
)
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.errors import UnsupportedFormat
from shared.settings import Settings
from shared.uploads.service import Uploads
from shared.uploads.tables import UploadRow

UploadRef = Annotated[str, PathParameter(description="Id of the upload.", max_length=200)]
SizeBytes = Annotated[int, Meta(ge=1, le=MOST_BYTES, description="Of the whole file, if it is known.")]
FileName = Annotated[str, Meta(max_length=1000, description="What the file is called.")]


class NewUpload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that shall arrive."""

    file_name: FileName = ""
    size_bytes: SizeBytes | None = None


_NOTHING_SAID = NewUpload()


class UploadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload is.

    Attributes:
        offset: the first byte that is not there: where to go on.
        sha256: of the whole file, once it is complete.
        expires_at: when it is removed, unless it makes progress or is used before.
    """

    id: UUID
    file_name: str
    offset: int
    size_bytes: int | None
    complete: bool
    sha256: str | None
    created_at: datetime
    expires_at: datetime
    url: str


@dataclass
class BytesOfUpload(Operation):
    """The rest of a file, or some of it, as the raw body."""

    def __post_init__(self) -> None:
        content = OpenAPIMediaType(
            schema=binary("The bytes of the file from `Upload-Offset` on.", may_be_empty=True)
        )
        self.request_body = RequestBody(content={"application/octet-stream": content})
        for parameter in self.parameters or ():
            if isinstance(parameter, Parameter) and parameter.name == "Upload-Offset":
                parameter.required = True  # the handler says what is missing


@post(
    "/",
    status_code=201,
    operation_class=BodyIfAny,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 409, 413, 422),
)
async def create_upload(
    caller: NamedDependency[Caller],
    *,
    data: JSONBody[NewUpload] = _NOTHING_SAID,
    upload_length: UploadLength = None,
    uploads: NamedDependency[Uploads],
    settings: NamedDependency[Settings],
    repr_digest: WholeDigest = None,
) -> Response[UploadAnswer]:
    """Begin to send a file, of which the bytes follow by `PATCH`. All of the body may be left out."""
    row = await uploads.create(
        caller.tenant_id,
        file_name=tidy_file_name(data.file_name),
        size_bytes=announced_size(upload_length, data.size_bytes),
        digest=announced_digest(repr_digest),
    )
    answer = _answer(row, settings)
    answer.headers["Location"] = f"/api/v1/uploads/{row.id}"
    return answer


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_uploads(
    caller: NamedDependency[Caller],
    uploads: NamedDependency[Uploads],
    *,
    settings: NamedDependency[Settings],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[UploadAnswer]:
    """The caller's uploads, the newest first."""
    before = from_cursor(cursor, UUID)
    found = await uploads.list_uploads(caller.tenant_id, before=before, limit=limit)
    return to_page(found, limit, item=lambda row: upload_answer(row, settings), cursor=lambda row: row.id)


@get("/{upload:str}", status_code=200, responses=answers(401, 404))
async def get_upload(
    upload: UploadRef,
    caller: NamedDependency[Caller],
    *,
    uploads: NamedDependency[Uploads],
    settings: NamedDependency[Settings],
) -> Response[UploadAnswer]:
    """How far an upload is."""
    return _answer(await uploads.get(caller.tenant_id, upload), settings)


@head("/{upload:str}", status_code=204, responses=answers(401, 404))
async def get_upload_offset(
    upload: UploadRef,
    caller: NamedDependency[Caller],
    *,
    uploads: NamedDependency[Uploads],
    settings: NamedDependency[Settings],
) -> Response[None]:
    """How far an upload is: `Upload-Offset` is where to go on, unless `Upload-Complete` is `?1`."""
    row = await uploads.get(caller.tenant_id, upload)
    return Response(None, status_code=204, headers=upload_headers(row, settings))


@patch(
    "/{upload:str}",
    status_code=200,
    operation_class=BytesOfUpload,
    responses=answers(400, 401, 404, 409, 413, 415, 422),
)
async def continue_upload(
    request: Request[Any, Any, Any],
    upload: UploadRef,
    *,
    upload_offset: UploadOffset = None,
    upload_complete: UploadComplete = None,
    caller: NamedDependency[Caller],
    uploads: NamedDependency[Uploads],
    settings: NamedDependency[Settings],
) -> Response[UploadAnswer]:
    """Send the file's bytes from `Upload-Offset` on, as many as you like.

    What has arrived stays when the connection breaks: ask with `HEAD` where to go on. Of two requests that
    send at once the later one goes on, and the earlier one is refused. The answer to the last bytes comes
    when the file is put together, which takes some seconds for each GB.
    """
    _refuse_forms(request)
    is_last = says_complete(upload_complete)
    claim = await uploads.claim(caller.tenant_id, upload, offset=offset_of(upload_offset))
    refuse_beyond(claim.most_bytes - claim.offset, request)
    await uploads.receive(claim, body_pieces(request), is_last=is_last)
    return _answer(await uploads.get(caller.tenant_id, upload), settings)


@delete("/{upload:str}", status_code=204, responses=answers(401, 404))
async def abandon_upload(
    upload: UploadRef, caller: NamedDependency[Caller], uploads: NamedDependency[Uploads]
) -> None:
    """Remove an upload. Jobs that were made of it have a copy of their own."""
    await uploads.abandon(caller.tenant_id, upload)


def upload_answer(row: UploadRow, settings: Settings) -> UploadAnswer:
    """What its owner is told of an upload."""
    return UploadAnswer(
        id=row.id,
        file_name=row.file_name,
        offset=row.offset_bytes,
        size_bytes=row.size_bytes,
        complete=row.key is not None,
        sha256=row.digest,
        created_at=row.created_at,
        expires_at=row.expires_at,
        url=f"{settings.public_url}/api/v1/uploads/{row.id}",
    )


def _answer(row: UploadRow, settings: Settings) -> Response[UploadAnswer]:
    return Response(upload_answer(row, settings), headers=upload_headers(row, settings))


def _refuse_forms(request: Request[Any, Any, Any]) -> None:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise UnsupportedFormat("send the bytes as they are and not as a form: `curl -T` or `--data-binary`")


uploads_routes = Router(
    "/uploads",
    route_handlers=[
        create_upload,
        list_uploads,
        get_upload,
        get_upload_offset,
        continue_upload,
        abandon_upload,
    ],
    opt=needs(Scope.JOBS, by_model=True),
    tags=["Uploads"],
)
