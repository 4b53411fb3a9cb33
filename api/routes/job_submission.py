"""Submissions of jobs: files of rows, to be predicted in the background."""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from api.job_form import SubmissionForm, submitted_form
from api.openapi import answers
from api.rate_limit import LIMITED_AS_UPLOAD
from shared.access.caller import Caller
from shared.jobs.submission import JobSubmissions
from shared.jobs.view import JobView
from shared.settings import Settings
from shared.storage.store import Storage


@post(
    "/",
    status_code=202,
    operation_class=SubmissionForm,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 404, 409, 413, 415, 422),
)
async def submit_job(
    request: Request[Any, Any, Any],
    *,
    caller: NamedDependency[Caller],
    submissions: NamedDependency[JobSubmissions],
    storage: NamedDependency[Storage],
    settings: NamedDependency[Settings],
) -> Response[JobView]:
    """Predict every row of a file. The answer comes at once; the job goes on in the background.

    The output has the rows in the order of the file, the input columns that `include` names, then
    `prediction` (`prediction_0`, `prediction_1`, … for a model with several outputs). An input column of the
    same name keeps it; ours gets an underscore at its end.
    """
    await submissions.check_room(caller.tenant_id)
    async with submitted_form(request, storage, settings) as submission:
        view = await submissions.submit(caller.tenant_id, submission.job_id, submission.form, submission.file)
    return Response(view, status_code=202, headers={"Location": f"/api/v1/jobs/{view.id}"})
