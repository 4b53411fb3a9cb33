"""What a job's input is made of, as its submission brings it and as the tables hold it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from shared.errors import TooLarge
from shared.jobs.envelope import Envelope
from shared.jobs.files import digest_of_all
from shared.jobs.input_address import InputAddress
from shared.jobs.input_format import SNIFFED_BYTES, Recognised, recognise_all
from shared.jobs.options import JobForm
from shared.jobs.tables import JobFileRow
from shared.settings import Settings
from shared.storage.store import Storage

_HEADS_AT_ONCE = 16  # files whose beginnings are read side by side


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that lies in storage.

    Attributes:
        name: of several files with its folders.
        digest: SHA-256, hexadecimal.
        envelope: of rows that came in a request.
    """

    key: str
    name: str
    size_bytes: int
    digest: str
    envelope: Envelope | None = None


Source: TypeAlias = Sequence[InputFile] | InputAddress


class Described(msgspec.Struct, frozen=True):
    """What the tables say of a source: the job's own row, and those of its files where it has several."""

    job: Mapping[str, Any]
    files: list[JobFileRow]


class SourceReader:
    """Looks at sources as far as their formats show."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage

    async def describe(self, tenant_id: UUID, job_id: UUID, form: JobForm, *, source: Source) -> Described:
        """What the tables shall say of it.

        Raises:
            InvalidOption, InputUrlRefused: an option does not fit.
            TooLarge: there are too many files.
            UnsupportedFormat: a file is of no format that is read here, or of another than the others.
        """
        if isinstance(source, InputAddress):
            source.check(self._settings, tenant_id=tenant_id)
            form.check_output()
            return Described(_remote_source(form, source), [])
        found = await self._recognise(source, form)
        rows = _rows_of_several(job_id, source, found)
        return Described(_stored_source(form, source, found[0]), rows)

    async def _recognise(self, files: Sequence[InputFile], form: JobForm) -> list[Recognised]:
        """What each file is: all are of one format."""
        if len(files) > self._settings.job_max_files:
            raise TooLarge(f"a job has {self._settings.job_max_files} files at most, and not {len(files)}")
        heads: list[bytes] = []
        for start in range(0, len(files), _HEADS_AT_ONCE):
            heads += await asyncio.gather(*map(self._head, files[start : start + _HEADS_AT_ONCE]))
        return recognise_all(
            [file.name for file in files], heads, format_=form.format, encoding=form.encoding
        )

    async def _head(self, file: InputFile) -> bytes:
        end = min(SNIFFED_BYTES, file.size_bytes)
        return b"".join([piece async for piece in self._storage.read(file.key, end=end)])


def _stored_source(form: JobForm, files: Sequence[InputFile], found: Recognised) -> dict[str, Any]:
    """Of several files the name and the key are the first one's."""
    digests = [(file.digest, file.name) for file in files]
    return {
        "input_file_name": files[0].name,
        "input_key": files[0].key,
        "input_size_bytes": sum(file.size_bytes for file in files),
        "input_digest": files[0].digest if len(files) == 1 else digest_of_all(digests),
        "input_files": len(files),
        "input_format": found.format,
        "input_encoding": found.encoding,
        "output_format": form.output(found.format),
        "envelope": msgspec.to_builtins(files[0].envelope),
    }


def _remote_source(form: JobForm, address: InputAddress) -> dict[str, Any]:
    """Formats and encoding as far as the form says them; the worker that fetches the file finds the rest."""
    return {
        "input_file_name": address.file_name,
        "input_url": address.url,
        "input_format": form.format,
        "input_encoding": form.encoding,
        "output_format": form.output_format,
    }


def _rows_of_several(
    job_id: UUID, files: Sequence[InputFile], found: Sequence[Recognised]
) -> list[JobFileRow]:
    """Of one file the job itself says everything."""
    if len(files) == 1:
        return []
    return [
        JobFileRow(
            job_id=job_id,
            index=index,
            name=file.name,
            key=file.key,
            size_bytes=file.size_bytes,
            digest=file.digest,
            encoding=recognised.encoding,
        )
        for index, (file, recognised) in enumerate(zip(files, found, strict=True))
    ]
