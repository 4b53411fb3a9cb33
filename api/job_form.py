"""Submissions of jobs on their way from a form into storage. If the block raises, they are removed again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from api.job_request_described import HOOK, SPAN, URL, json_submission
from api.multipart_stream import FilePart, Form, StoredFile, stored_form
from api.request_bodies_described import binary, form_body, one_of, text
from api.submission_name import KEY_MAX_LENGTH
from api.urlencoded_form import is_urlencoded, urlencoded_fields
from shared.errors import FieldError, InvalidInput
from shared.ids import new_id
from shared.jobs.files import is_beside_rows
from shared.jobs.inputs import Input
from shared.jobs.job import FileFormat, OnError, Priority, input_key
from shared.jobs.options import JobForm
from shared.jobs.source import InputFile
from shared.jobs.text_encoding import TextEncoding
from shared.settings import Settings
from shared.storage.store import Storage

_IN_PLACE_OF_FILE = ("url", "upload_id")


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Files in storage, or what the form names in their place, and what shall be done with them."""

    job_id: UUID
    form: JobForm
    given: list[InputFile] | Input


@asynccontextmanager
async def submitted_form(
    request: Request[Any, Any, Any], storage: Storage, settings: Settings
) -> AsyncIterator[Submission]:
    """The submission that a form holds: multipart, or of fields alone."""
    job_id = new_id()
    fields = (*JobForm.__struct_fields__, *_IN_PLACE_OF_FILE)
    if is_urlencoded(request):
        yield await _submission(job_id, Form(await urlencoded_fields(request, fields=fields), {}), storage)
        return
    part = FilePart(
        name="file",
        key=input_key(job_id),
        max_bytes=settings.job_max_bytes,
        required=False,
        most=settings.job_max_files,
    )
    async with stored_form(request, storage, files=[part], fields=fields) as form:
        yield await _submission(job_id, form, storage)


async def _submission(job_id: UUID, form: Form, storage: Storage) -> Submission:
    named, stored = _given(form)
    given = await _files_of_rows(stored, storage) if stored else named
    return Submission(job_id=job_id, form=form.fields_as(JobForm), given=given)


def _given(form: Form) -> tuple[Input, list[StoredFile]]:
    """The one input that was named or sent: without files it is named."""
    named = {name: form.fields[name] for name in _IN_PLACE_OF_FILE if form.fields.get(name)}
    stored = [*form.files.values(), *form.more]
    if not stored and not named:
        raise InvalidInput(
            "the file 'file' is missing or empty, and neither 'url' nor 'upload_id' names one",
            [FieldError(message="a file is needed here, or one of the others", pointer="/file")],
        )
    if bool(stored) + len(named) > 1:
        several = " and ".join(repr(name) for name in (*(["file"] if stored else []), *named))
        raise InvalidInput(
            f"the form holds {several}: a job has one input",
            [FieldError(message="leave it out where there is another", pointer=f"/{[*named][-1]}")],
        )
    return Input(url=named.get("url"), upload_id=named.get("upload_id")), stored


async def _files_of_rows(stored: list[StoredFile], storage: Storage) -> list[InputFile]:
    """The files without those that Spark and others write beside them, which go; a lone file stays."""
    if len(stored) == 1:
        return [_input_file(stored[0], stored[0].file_name)]
    kept = [file for file in stored if not is_beside_rows(file.path)]
    if not kept:
        raise InvalidInput("the form has no files of rows: names with a dot or `_` in front are left out")
    for file in stored:
        if file not in kept:
            await storage.delete(file.key)
    return [_input_file(file, file.path) for file in kept]


def _input_file(file: StoredFile, name: str) -> InputFile:
    return InputFile(key=file.key, name=name, size_bytes=file.size_bytes, digest=file.digest)


_PARTS: Final = {
    "file": binary(
        "The rows: Parquet, Arrow, CSV with a header, or JSON Lines; text also gzipped. May be sent"
        " again for a job of several files, all of one format."
    ),
    "url": text(
        "Where they lie instead, `https://…` or `s3://bucket/key`: they are fetched from there.",
        example="https://example.com/flowers.parquet",
        pattern=URL,
    ),
    "upload_id": text("Or the id of a complete upload.", example="0198c1de-4a64-7c3a-9d3c-1f0e5a7c2b11"),
    "model": text("Id or name of the model.", example="iris_classifier"),
    "version": text(
        "Number of the version; the one that serves if left out.", example="3", pattern="^[1-9][0-9]{0,8}$"
    ),
    "format": one_of(FileFormat, "What the file is; its first bytes say so if left out."),
    "encoding": one_of(TextEncoding, "Of text; that of its mark, or UTF-8, if left out."),
    "output_format": one_of(
        FileFormat, "That of the file if left out, of Arrow `parquet`.", but=[FileFormat.ARROW]
    ),
    "include": text(
        "Input columns to carry into the output: `all` (the default), `none`, names with commas"
        " between them, or a JSON list of names.",
        example="id,name",
    ),
    "outputs": text(
        "Outputs of the model to write beside its prediction: `all`, names with commas between"
        " them, or a JSON list of names. None if left out.",
        example="probabilities",
    ),
    "on_error": one_of(
        OnError,
        "`fail` (the default): the first row that cannot be predicted ends the job. `skip`: such rows"
        " are left out of the output, and told by `/errors`.",
    ),
    "priority": one_of(Priority, "Whose chunks have their turn first; `normal` if left out."),
    "callback_url": text("Told when the job has ended.", example="https://example.com/hooks", pattern=HOOK),
    "events": text("What `callback_url` is told of beside the end: `job.progress`.", example="job.progress"),
    "expires_after": text(
        "How long the job may take, from `1s` to `30d`; then it ends as `expired`.",
        example="2h",
        pattern=SPAN,
    ),
    "metadata": text("A JSON object of your own, given back with the job.", example='{"run": 7}'),
}


@dataclass
class SubmissionForm(Operation):
    """A submission as a multipart form, or as JSON, for the OpenAPI document."""

    def __post_init__(self) -> None:
        self.request_body = form_body(_PARTS, required=["model"], alternatives=("file", *_IN_PLACE_OF_FILE))
        self.request_body.content["application/json"] = json_submission()


@dataclass
class KeyedSubmissionForm(SubmissionForm):
    """The same, under a key of the client's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        key = Parameter(
            name="Idempotency-Key",
            param_in="header",
            schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=KEY_MAX_LENGTH),
            description="The same content under the same key is the same job, however often it is sent.",
        )
        self.parameters = [*(self.parameters or []), key]
