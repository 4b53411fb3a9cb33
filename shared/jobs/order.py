"""What was ordered with a job: the file, the version, the output. All that a worker needs to know of it."""

from uuid import UUID

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.model_settings import ModelSettings
from shared.catalog.service import signature_of, verdict_of
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.verdict import EnvironmentRef, Output, Signature
from shared.jobs.files import JobFile, file_of
from shared.jobs.further_outputs import outputs_named
from shared.jobs.input_address import InputAddress, RemoteInput
from shared.jobs.job import FileFormat, OnError
from shared.jobs.tables import JobRow
from shared.jobs.text_encoding import TextEncoding
from shared.webhooks.events import JOB_PROGRESS
from shared.webhooks.publishing import wants_event


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its workers see it.

    Attributes:
        remote: where the input has still to be fetched from; until then nobody knows the formats, and what
            stands for them means nothing. None: it lies in storage.
        input_encoding: of text; None: it is no text.
        text_key: what the input was unpacked to; None: it is read as it is, or not planned yet.
        output_columns: input columns to carry into the output; None: all.
        further_outputs: of the model, to write beside its prediction.
        environment: that the version's hosts run in; None: the platform's own.
        tells_progress: somebody is told how far the job is.
        file_name: of the one of several files that the input is; None: the job has one file.
        carried: of a job of several files the columns that all of them carry into the output, a schema of
            Arrow as it is serialised; None: not planned yet.
        model_name: by which files of the job are called.
        accelerate: a faster form of the model may answer, where its answers are the same to the last bit.
        refuse_extra: columns that neither the model takes nor `output_columns` names are refused.
    """

    job_id: UUID
    input_key: str
    input_format: FileFormat
    output_format: FileFormat
    output_columns: list[str] | None
    version_id: UUID
    artifact_key: str
    signature: Signature
    further_outputs: list[str] = []
    environment: EnvironmentRef | None = None
    tells_progress: bool = False
    refuse_extra: bool = False
    accelerate: bool = True
    on_error: OnError = OnError.FAIL
    input_encoding: TextEncoding | None = None
    text_key: str | None = None
    remote: RemoteInput | None = None
    file_name: str | None = None
    carried: bytes | None = None
    model_name: str = "model"

    @property
    def rows_key(self) -> str:
        """Where the rows are read."""
        return self.text_key or self.input_key

    @property
    def outputs(self) -> list[Output]:
        """What is written of the model's answers, the prediction first."""
        return outputs_named([self.signature.main.name, *self.further_outputs], self.signature)


async def order_of(session: AsyncSession, job: JobRow, *, file: int | None = None) -> Order | None:
    """The order behind a job; None where its version was deleted.

    Args:
        file: which of several it is for; None: the first that has anything in it.
    """
    found = await session.execute(
        select(VersionRow, ModelRow.settings, exists().where(wants_event(job.tenant_id, JOB_PROGRESS)))
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.id == job.version_id)
    )
    row = found.one_or_none()
    if row is None:
        return None
    version, settings, is_followed = row
    order = _order(job, version, ModelSettings.from_stored(settings))
    if is_followed:
        order = msgspec.structs.replace(order, tells_progress=True)
    return order if job.input_files == 1 else await _of_several(session, order, file)


def of_file(order: Order, file: JobFile) -> Order:
    """The same for one of the job's files."""
    return msgspec.structs.replace(
        order,
        input_key=file.key,
        input_encoding=file.encoding,
        text_key=file.text_key,
        file_name=file.name,
    )


async def _of_several(session: AsyncSession, order: Order, index: int | None) -> Order:
    file = await file_of(session, order.job_id, index)
    carried = await session.scalar(select(JobRow.carried).where(JobRow.id == order.job_id))
    return of_file(msgspec.structs.replace(order, carried=carried), file)


def _order(job: JobRow, version: VersionRow, settings: ModelSettings) -> Order:
    return Order(
        job_id=job.id,
        model_name=job.model_name,
        input_key=job.input_key or "",
        input_format=_format(job.input_format) or FileFormat.CSV,
        output_format=_format(job.output_format) or FileFormat.CSV,
        input_encoding=_encoding(job),
        text_key=job.text_key,
        output_columns=job.output_columns,
        further_outputs=job.further_outputs,
        version_id=version.id,
        artifact_key=version.artifact_key,
        signature=signature_of(version),
        environment=verdict_of(version).environment,
        tells_progress=job.tells_progress,
        refuse_extra=settings.refuse_extra,
        accelerate=settings.accelerate,
        on_error=OnError(job.on_error),
        remote=_remote(job),
    )


def _remote(job: JobRow) -> RemoteInput | None:
    if job.input_key is not None or job.input_url is None:
        return None
    return RemoteInput(
        address=InputAddress(job.input_url),
        tenant_id=job.tenant_id,
        file_name=job.input_file_name,
        format=_format(job.input_format),
        encoding=_encoding(job),
        output_format=_format(job.output_format),
    )


def _format(name: str | None) -> FileFormat | None:
    return None if name is None else FileFormat(name)


def _encoding(job: JobRow) -> TextEncoding | None:
    return None if job.input_encoding is None else TextEncoding(job.input_encoding)
