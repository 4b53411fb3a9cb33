"""The result of a job, in whatever form it is asked for."""

from typing import Any
from uuid import UUID

from litestar import Response
from litestar.response import Stream

from api.partial_file import partial_answer
from api.result_envelope import envelope_answer
from api.result_form import ResultForm
from api.stored_file import Wanted, file_answer
from shared.database.engine import Database
from shared.jobs.envelope import Enveloped, enveloped_result
from shared.jobs.errors import NotInOnePiece
from shared.jobs.partial import PartialResult, partial_result
from shared.jobs.result import MEDIA_TYPES
from shared.jobs.service import JobService
from shared.settings import Settings
from shared.storage.store import Storage


class ResultAnswers:
    """Answers those who ask for a result. Each method raises what `JobService.result` does."""

    def __init__(self, settings: Settings, database: Database, *, storage: Storage, jobs: JobService) -> None:
        self._settings, self._database = settings, database
        self._storage, self._jobs = storage, jobs

    async def partial(self, tenant_id: UUID, job: str, wanted: Wanted) -> Response[None] | Stream:
        """What is finished of it, whether that is all or not."""

        async def look() -> PartialResult:
            async with self._database.transaction() as session:
                return await partial_result(session, tenant_id, job)

        found = await look()
        return partial_answer(
            found, wanted, storage=self._storage, media_type=MEDIA_TYPES[found.format], look_again=look
        )

    async def whole(
        self, tenant_id: UUID, job: str, wanted: Wanted, *, form: ResultForm
    ) -> Response[Any] | Stream:
        """All of it: as a file, by a link to the file, or in one piece like a prediction.

        Raises:
            NotInOnePiece: that is how it is wanted, and it cannot be.
        """
        result = await self._jobs.result(tenant_id, job)
        media_type = MEDIA_TYPES[result.format]
        if form.prefers_json(media_type):
            enveloped = await self._enveloped(tenant_id, job, file_will_do=form.takes_file(media_type))
            if enveloped is not None:
                return await envelope_answer(enveloped, self._storage, if_none_match=wanted.if_none_match)
        if form.redirect:
            link = await self._storage.link(result.key, lasts_s=self._settings.result_link_ttl_s)
            if link is not None:
                headers = {"Location": link, "Cache-Control": "no-store"}
                return Response(None, status_code=307, headers=headers)
        return file_answer(result, wanted, storage=self._storage, media_type=media_type)

    async def _enveloped(self, tenant_id: UUID, job: str, *, file_will_do: bool) -> Enveloped | None:
        try:
            async with self._database.transaction() as session:
                return await enveloped_result(session, tenant_id, job)
        except NotInOnePiece:
            if file_will_do:
                return None
            raise
