"""Every route of jobs, and what their handlers are given."""

from litestar import Router
from litestar.di import NamedDependency, Provide

from api.job_doors import JobDoors
from api.permissions import needs
from api.result_answers import ResultAnswers
from api.routes.job_files import get_errors, get_log, get_result
from api.routes.job_later_life import delete_job, retry_job
from api.routes.job_submission import put_job, submit_job
from api.routes.jobs import cancel_job, get_events, get_job, list_jobs
from shared.access.permissions import Scope
from shared.database.engine import Database
from shared.jobs.inputs import JobInputs
from shared.jobs.later_life import LaterLife
from shared.jobs.news import JobNews
from shared.jobs.service import JobService
from shared.jobs.submission import JobSubmissions
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.service import Uploads


def _provide_jobs(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    *,
    messenger: NamedDependency[Messenger],
    job_news: NamedDependency[JobNews],
) -> JobService:
    return JobService(settings, database, messenger=messenger, news=job_news)


def _provide_results(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    *,
    jobs: NamedDependency[JobService],
) -> ResultAnswers:
    return ResultAnswers(settings, database, storage=storage, jobs=jobs)


def _provide_later_life(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    *,
    messenger: NamedDependency[Messenger],
    job_news: NamedDependency[JobNews],
) -> LaterLife:
    return LaterLife(settings, database, messenger=messenger, news=job_news)


def _provide_submissions(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    *,
    messenger: NamedDependency[Messenger],
) -> JobSubmissions:
    return JobSubmissions(settings, database, storage=storage, messenger=messenger)


def _provide_inputs(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    *,
    uploads: NamedDependency[Uploads],
) -> JobInputs:
    return JobInputs(settings, database, storage=storage, uploads=uploads)


def _provide_doors(
    settings: NamedDependency[Settings],
    storage: NamedDependency[Storage],
    *,
    job_inputs: NamedDependency[JobInputs],
    submissions: NamedDependency[JobSubmissions],
) -> JobDoors:
    return JobDoors(settings, storage, inputs=job_inputs, submissions=submissions)


SUBMITTING = {
    "job_inputs": Provide(_provide_inputs, sync_to_thread=False),
    "doors": Provide(_provide_doors, sync_to_thread=False),
    "submissions": Provide(_provide_submissions, sync_to_thread=False),
}

jobs_routes = Router(
    "/jobs",
    route_handlers=[
        submit_job,
        put_job,
        list_jobs,
        get_job,
        get_events,
        get_result,
        get_errors,
        get_log,
        cancel_job,
        retry_job,
        delete_job,
    ],
    dependencies={
        "jobs": Provide(_provide_jobs, sync_to_thread=False),
        "results": Provide(_provide_results, sync_to_thread=False),
        "later_life": Provide(_provide_later_life, sync_to_thread=False),
        **SUBMITTING,
    },
    opt=needs(Scope.JOBS, by_model=True),
    tags=["Jobs"],
)
