"""Where submissions of jobs come in, and how one that comes again is told."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from multipart import parse_options_header

from api.job_form import submitted_form
from shared.errors import UnsupportedFormat
from shared.jobs.submission import JobSubmissions
from shared.jobs.submission_mark import Mark, Name, submission_digest
from shared.jobs.view import JobView
from shared.settings import Settings
from shared.storage.store import Storage


class Taken(msgspec.Struct, frozen=True):
    """The job of a submission; not new where the same one had come before."""

    job: JobView
    is_new: bool


class JobDoors:
    """Takes submissions in, whatever form they have."""

    def __init__(self, settings: Settings, storage: Storage, *, submissions: JobSubmissions) -> None:
        self._settings, self._storage = settings, storage
        self._submissions = submissions

    async def take(self, request: Request[Any, Any, Any], tenant_id: UUID, name: Name | None) -> Taken:
        """Take in what a request submits, once under each name.

        Raises:
            UnsupportedFormat: it is of no form that is read here.
            CallerError: it does not fit; the text says why.
        """
        content_type, _ = parse_options_header(request.headers.get("content-type", ""))
        if content_type == "multipart/form-data":
            return await self._form(request, tenant_id, name)
        raise UnsupportedFormat(
            f"the content type is {content_type[:100] or 'missing'}; send the file as multipart/form-data"
        )

    async def _form(self, request: Request[Any, Any, Any], tenant_id: UUID, name: Name | None) -> Taken:
        async with submitted_form(request, self._storage, self._settings) as submission:
            form, file, job_id = submission.form, submission.file, submission.job_id
            digest = submission_digest(form, {"file": file.digest, "file_name": file.name})
            mark = None if name is None else Mark(name, digest)
            job = await self._submissions.submit(tenant_id, job_id, form, file, mark=mark)
        return Taken(job, is_new=job.id == job_id)
