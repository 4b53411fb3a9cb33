"""What a job predicts, where it is not a file that was sent. Every kind of it becomes a file in storage.

A kind is a field of `Input` and a branch of `JobInputs.store`.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import asdict, replace

from shared.catalog.service import serving_version
from shared.database.engine import Database
from shared.errors import FieldError, InvalidInput
from shared.jobs.envelope import Envelope, prediction_columns
from shared.jobs.errors import InvalidOption
from shared.jobs.input_address import InputAddress
from shared.jobs.job import FileFormat, input_key
from shared.jobs.options import JobForm
from shared.jobs.row_lines import json_lines, rows_digest
from shared.jobs.source import InputFile, Source
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.service import Uploads

Rows = list[msgspec.Raw]  # each as the caller spelled it: their number may be large, and digits are kept


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of these.

    Attributes:
        rows: objects by column, or arrays of values in the order of the model's columns.
        url: where a worker shall fetch a file from; it may hold a secret.
        upload_id: of a complete upload.
    """

    rows: Rows | None = None
    url: str | None = None
    upload_id: str | None = None

    def check(self) -> None:
        """Raises: InvalidInput: there is not exactly one, or it is empty."""
        kinds = self.__struct_fields__
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise _refused(f"exactly one of {', '.join(kinds)} is needed here, not {found}")
        if self.rows == []:
            raise _refused("`rows` is empty: send at least one row", "/rows")

    async def content(self) -> dict[str, Any]:
        """What tells it from another input, for a digest: equal where the same is to be predicted."""
        given: dict[str, Any] = msgspec.to_builtins(replace(self, rows=None))
        return given if self.rows is None else given | {"rows": await rows_digest(self.rows)}


class RequestRows(Input, frozen=True, kw_only=True):
    """Rows of a request to predict that is answered later, and how."""

    envelope: Envelope

    async def content(self) -> dict[str, Any]:
        """As of any input. One row, and a list of one, are answered in other words."""
        return {"rows": await rows_digest(self.rows or []), "single": self.envelope.single}


class StoredInput(msgspec.Struct, frozen=True):
    """An input that has become a file, or shall be fetched, and the form that it is to be submitted with."""

    form: JobForm
    source: Source


class JobInputs:
    """Turns inputs into files."""

    def __init__(self, settings: Settings, database: Database, *, storage: Storage, uploads: Uploads) -> None:
        self._settings, self._database = settings, database
        self._storage, self._uploads = storage, uploads

    def check_options(self, form: JobForm, given: Input) -> None:
        """Refuse options that do not go with the input.

        Raises:
            InvalidOption: there are some.
        """
        if given.rows is not None:
            _refuse_file_options(form)

    async def store(self, tenant_id: UUID, job_id: UUID, form: JobForm, given: Input) -> StoredInput:
        """Put the file where the job's input belongs. Who asks for it removes it, should there be no job.

        Raises:
            InvalidOption, TooLarge: it cannot become one.
            UploadNotFound, UploadIncomplete: there is no such upload, or not all of it.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
        """
        if given.url is not None:
            return StoredInput(form, InputAddress(given.url))
        if given.upload_id is not None:
            taken = await self._uploads.take(tenant_id, given.upload_id, key=input_key(job_id))
            return StoredInput(form, [InputFile(**asdict(taken))])
        return await self._rows(tenant_id, job_id, form, given=given)

    async def _rows(self, tenant_id: UUID, job_id: UUID, form: JobForm, *, given: Input) -> StoredInput:
        assert given.rows is not None  # noqa: S101  narrows the type: `check` has seen to it
        _refuse_file_options(form)
        async with self._database.transaction() as session:
            version = await serving_version(session, tenant_id, form.model, form.version)
        names = [column.name for column in version.signature.inputs]
        file = await self._write(job_id, json_lines(given.rows, names), name="rows.jsonl")
        envelope = given.envelope if isinstance(given, RequestRows) else Envelope()
        file = replace(file, envelope=replace(envelope, columns=prediction_columns(version.signature.main)))
        # The version is settled: arrays are in the order of this one's columns.
        return StoredInput(replace(form, format=FileFormat.JSONL, version=version.number), [file])

    async def _write(self, job_id: UUID, content: AsyncIterator[bytes], *, name: str) -> InputFile:
        key = input_key(job_id)
        written = await self._storage.write(key, content, max_bytes=self._settings.job_max_bytes)
        return InputFile(key=key, name=name, size_bytes=written.size_bytes, digest=written.digest)


def _refuse_file_options(form: JobForm) -> None:
    for option in ("format", "encoding"):
        if getattr(form, option) is not None:
            why = "says what a file is, and rows are no file: leave it out"
            raise InvalidOption(
                f"the option {option!r} {why}", [FieldError(message=why, pointer=f"/{option}")]
            )


def _refused(why: str, place: str = "") -> InvalidInput:
    return InvalidInput(f"the input does not fit: {why}", [FieldError(message=why, pointer=f"/input{place}")])
