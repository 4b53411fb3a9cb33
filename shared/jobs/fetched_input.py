"""An input that lay elsewhere, as it was fetched."""

import msgspec

from shared.jobs.input_address import InputAddress
from shared.jobs.job import FileFormat
from shared.jobs.tables import JobRow
from shared.jobs.text_encoding import TextEncoding
from shared.storage.object_files import Written


class FetchedInput(msgspec.Struct, frozen=True, kw_only=True):
    """Where it lies now, and all that could not be known of it before. Encoding: of text, else None."""

    key: str
    written: Written
    format: FileFormat
    encoding: TextEncoding | None
    output_format: FileFormat

    def describe(self, job: JobRow) -> None:
        """Write it into the job's row. The address has served: what may be secret of it is forgotten."""
        job.input_key = self.key
        job.input_size_bytes, job.input_digest = self.written.size_bytes, self.written.digest
        job.input_format, job.input_encoding = self.format, self.encoding
        job.output_format = self.output_format
        if job.input_url is not None:
            job.input_url = InputAddress(job.input_url).shown()
