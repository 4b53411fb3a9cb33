"""Where submissions of jobs come in, and how one that comes again is told."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from multipart import parse_options_header

from api.job_form import submitted_form
from api.request_body import whole_body
from api.urlencoded_form import URLENCODED
from shared.errors import UnsupportedFormat
from shared.ids import new_id
from shared.jobs.inputs import Input, JobInputs
from shared.jobs.job import input_key
from shared.jobs.json_request import placed_in_body, read_request
from shared.jobs.options import JobForm
from shared.jobs.source import InputFile
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

    def __init__(
        self, settings: Settings, storage: Storage, *, inputs: JobInputs, submissions: JobSubmissions
    ) -> None:
        self._settings, self._storage = settings, storage
        self._inputs, self._submissions = inputs, submissions

    async def take(self, request: Request[Any, Any, Any], tenant_id: UUID, name: Name | None) -> Taken:
        """Take in what a request submits, once under each name.

        Raises:
            UnsupportedFormat: it is of no form that is read here.
            CallerError: it does not fit; the text says why.
        """
        content_type, _ = parse_options_header(request.headers.get("content-type", ""))
        if content_type in ("multipart/form-data", URLENCODED):
            if name is None:
                await self._submissions.check_room(tenant_id)
            return await self._form(request, tenant_id, name)
        if content_type == "application/json":
            return await self._json(request, tenant_id, name)
        raise UnsupportedFormat(
            f"the content type is {content_type[:100] or 'missing'}; send a file as multipart/form-data, or"
            " application/json with `model` and `input`"
        )

    async def _form(self, request: Request[Any, Any, Any], tenant_id: UUID, name: Name | None) -> Taken:
        async with submitted_form(request, self._storage, self._settings) as submission:
            form, given, job_id = submission.form, submission.given, submission.job_id
            if isinstance(given, Input):
                return await self.take_input(tenant_id, form, given, name=name)
            digest = submission_digest(form, _content(given))
            mark = None if name is None else Mark(name, digest)
            job = await self._submissions.submit(tenant_id, job_id, form, given, mark=mark)
        return Taken(job, is_new=job.id == job_id)

    async def _json(self, request: Request[Any, Any, Any], tenant_id: UUID, name: Name | None) -> Taken:
        asked = read_request(await whole_body(request, max_bytes=self._settings.job_rows_max_bytes))
        with placed_in_body():
            return await self.take_input(tenant_id, asked.form(), asked.input, name=name)

    async def take_input(self, tenant_id: UUID, form: JobForm, given: Input, *, name: Name | None) -> Taken:
        """Take in an input that is no file yet, unless the same one has come before.

        Raises:
            CallerError: it does not fit; the text says why.
        """
        mark = None
        if name is not None:
            mark = Mark(name, submission_digest(form, await given.content()))
            known = await self._submissions.find(tenant_id, mark)
            if known is not None:
                return Taken(known, is_new=False)
        await self._submissions.check(tenant_id, form)
        return await self._take_in(tenant_id, form, given, mark=mark)

    async def _take_in(self, tenant_id: UUID, form: JobForm, given: Input, *, mark: Mark | None) -> Taken:
        """Make a file of the input, and a job for it; without the job there is to be no file."""
        job_id = new_id()
        try:
            stored = await self._inputs.store(tenant_id, job_id, form, given)
            job = await self._submissions.submit(tenant_id, job_id, stored.form, stored.source, mark=mark)
        except BaseException:
            await self._storage.delete(input_key(job_id))
            raise
        return Taken(job, is_new=job.id == job_id)


def _content(files: Sequence[InputFile]) -> dict[str, Any]:
    """What tells the files from others, for a digest."""
    if len(files) == 1:
        return {"file": files[0].digest, "file_name": files[0].name}
    return {"files": [(file.digest, file.name) for file in files]}
