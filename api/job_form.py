"""Submissions of jobs on their way from a form into storage. If the block raises, they are removed again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.openapi.spec import Operation

from api.multipart_stream import FilePart, stored_form
from api.request_bodies_described import binary, form_body, text
from shared.ids import new_id
from shared.jobs.job import input_key
from shared.jobs.options import JobForm
from shared.jobs.submission import InputFile
from shared.settings import Settings
from shared.storage.store import Storage


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A file in storage, and what shall be done with it."""

    job_id: UUID
    form: JobForm
    file: InputFile


@asynccontextmanager
async def submitted_form(
    request: Request[Any, Any, Any], storage: Storage, settings: Settings
) -> AsyncIterator[Submission]:
    """The submission that a multipart form holds."""
    job_id = new_id()
    part = FilePart(name="file", key=input_key(job_id), max_bytes=settings.job_max_bytes)
    async with stored_form(request, storage, files=[part], fields=JobForm.__struct_fields__) as form:
        stored = form.files["file"]
        file = InputFile(
            key=stored.key, name=stored.file_name, size_bytes=stored.size_bytes, digest=stored.digest
        )
        yield Submission(job_id=job_id, form=form.fields_as(JobForm), file=file)


@dataclass
class SubmissionForm(Operation):
    """A submission as a multipart form, for the OpenAPI document."""

    def __post_init__(self) -> None:
        parts = {
            "file": binary("The rows: Parquet, Arrow, CSV with a header, or JSON Lines; text also gzipped."),
            "model": text("Id or name of the model.", example="iris_classifier"),
            "version": text("Number of the version; the one that serves if left out.", example="3"),
            "format": text(
                "What the file is, `parquet`, `arrow`, `csv` or `jsonl`; its first bytes say so if left out.",
                example="jsonl",
            ),
            "encoding": text(
                "Of text: `utf-8`, `utf-16`, `latin-1` or `cp1252`; that of its mark, or UTF-8, if left out.",
                example="cp1252",
            ),
            "output_format": text(
                "`parquet`, `csv` or `jsonl`; that of the file if left out, of Arrow `parquet`.",
                example="parquet",
            ),
            "include": text(
                "Input columns to carry into the output: `all` (the default), `none`, names with commas"
                " between them, or a JSON list of names.",
                example="id,name",
            ),
            "on_error": text(
                "`fail` (the default): the first row that cannot be predicted ends the job. `skip`: such rows"
                " are left out of the output, and told by `/errors`.",
                example="skip",
            ),
            "callback_url": text("Told when the job has ended.", example="https://example.com/hooks"),
            "events": text(
                "What `callback_url` is told of beside the end: `job.progress`.", example="job.progress"
            ),
            "metadata": text("A JSON object of your own, given back with the job.", example='{"run": 7}'),
        }
        self.request_body = form_body(parts, required=["file", "model"])
