"""Submissions of jobs: rows to be predicted in the background."""

from typing import Any

from litestar import Request, Response, post, put
from litestar.di import NamedDependency

from api.job_doors import JobDoors
from api.job_form import KeyedSubmissionForm, SubmissionForm
from api.openapi import answer, answers
from api.rate_limit import LIMITED_AS_UPLOAD
from api.routes.job_ref import JobRef
from api.submission_name import name_by_id, name_by_key
from shared.access.caller import Caller
from shared.jobs.view import JobView

_SAME_AGAIN = {200: answer(JobView, "The job of the same content, sent before.")}


@post(
    "/",
    status_code=202,
    operation_class=KeyedSubmissionForm,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 404, 409, 413, 415, 422),
)
async def submit_job(
    request: Request[Any, Any, Any], *, caller: NamedDependency[Caller], doors: NamedDependency[JobDoors]
) -> Response[JobView]:
    """Predict every row of a file, of several, or of the request. The answer comes at once; the job goes on.

    The output has the rows in the order of the input (of several files, in the order they were sent), the
    input columns that `include` names, then `prediction` (`prediction_0`, `prediction_1`, … where the model
    answers several numbers), then what `outputs` asks for (`probability_<class>`, `score_<class>`, …). An
    input column of the same name keeps it; ours gets an underscore at its end.

    With `Idempotency-Key` it may be sent again and again: the same content under the same key is the same
    job, as it is now, for as long as there is the job; other content is 422.
    """
    name = name_by_key(request.headers.getall("idempotency-key", []))
    taken = await doors.take(request, caller.tenant_id, name)
    return _answer(taken.job, status_code=202)


@put(
    "/{job:str}",
    status_code=202,
    operation_class=SubmissionForm,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 404, 409, 413, 415, 422) | _SAME_AGAIN,
)
async def put_job(
    request: Request[Any, Any, Any],
    job: JobRef,
    *,
    caller: NamedDependency[Caller],
    doors: NamedDependency[JobDoors],
) -> Response[JobView]:
    """As `POST jobs`, for a job whose id the client chooses: a UUID, which is its `client_id`.

    202 the first time; 200 and the job as it is now when the same content comes again; 409 for other content.
    """
    taken = await doors.take(request, caller.tenant_id, name_by_id(job))
    return _answer(taken.job, status_code=202 if taken.is_new else 200)


def _answer(job: JobView, *, status_code: int) -> Response[JobView]:
    return Response(job, status_code=status_code, headers={"Location": f"/api/v1/jobs/{job.id}"})
