"""The plan of a job of several files: each as if it were alone, then what they have in common."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
import pyarrow as pa

from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.fetched_input import FetchedInput
from shared.jobs.files import JobFile
from shared.jobs.folders import is_whole_number
from shared.jobs.job import FileFormat, PlannedChunk
from shared.jobs.order import Order, of_file
from shared.storage.object_files import Written
from workers.jobs.columns import Columns, listed
from workers.jobs.common_columns import CommonColumns
from workers.jobs.context import JobContext
from workers.jobs.csv_input import CsvInput
from workers.jobs.file_errors import count_rows, located
from workers.jobs.holding import StopSign
from workers.jobs.job_input import JobInput, open_input, plan_chunks
from workers.jobs.parquet_input import ParquetInput

_FILES_AT_ONCE = 8  # a bucket takes its time to answer, which several files can wait for together

# The order for a file, by its number, with its text unpacked where that is needed, to so many bytes at most.
Unpack = Callable[[Order, int, int], Order]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a job's input is cut.

    Attributes:
        text_key: what it is cut from, if not the input itself.
        fetched: the input, if it lay elsewhere.
        head: the line that the output begins with, of CSV.
        files: where there are several, with what was found of each.
        carried: what all of them carry into the output: `Order.carried`.
    """

    chunks: list[PlannedChunk]
    text_key: str | None = None
    fetched: FetchedInput | None = None
    head: Written | None = None
    files: Sequence[JobFile] = ()
    carried: bytes | None = None


class _Seen(msgspec.Struct, frozen=True):
    """What is known of a file by itself: nothing more of it is read. Empty ones are no input."""

    order: Order
    size_bytes: int
    job_input: JobInput | None = None
    chunks: Sequence[PlannedChunk] = ()


class FilesPlanner:
    """Plans several files, in their order. A chunk is of one file."""

    def __init__(self, context: JobContext, order: Order, *, unpack: Unpack, sign: StopSign) -> None:
        self._context, self._unpack, self._sign = context, unpack, sign
        self._order = msgspec.structs.replace(order, carried=None)
        self._common = CommonColumns(may_lack=order.input_format is FileFormat.JSONL)
        self._delimiter: str | None = None
        self._fed: list[str] | None = None
        self._of_folders: set[tuple[str, object]] = set()
        self._text_left_bytes = context.settings.job_max_bytes  # all texts together have no more
        self._chunks: list[PlannedChunk] = []
        self._orders: list[Order] = []  # of the files so far, but for empty ones

    def plan(self, files: Sequence[JobFile]) -> Plan:
        """Of all files.

        Raises:
            UnreadableInput: one is damaged, or does not fit the model or the others; the text says which.
        """
        # Texts share one allowance: each waits for those before.
        at_once = _FILES_AT_ONCE if self._order.input_encoding is None else 1
        planned: list[JobFile] = []
        with ThreadPoolExecutor(at_once) as threads:
            for start in range(0, len(files), at_once):
                some = files[start : start + at_once]
                looking = [threads.submit(self._look_at, file) for file in some]
                planned += map(self._planned, some, looking)
        if not self._common.is_known:
            raise UnreadableInput("there is nothing in any of the files, not even a header")
        self._type_folders()
        return Plan(chunks=self._chunks, files=planned, carried=self._common.serialised())

    def common_order(self) -> Order:
        """The order for the first file, once all are planned: with what they have in common."""
        return msgspec.structs.replace(self._orders[0], carried=self._common.serialised())

    def _planned(self, file: JobFile, looking: Future[_Seen]) -> JobFile:
        try:
            return self._take(file, looking.result())
        except UnreadableInput as error:
            before = 0 if error.row is None else count_rows(self._context, self._orders, self._sign)
            raise located(error, file.name, before=before) from error

    def _look_at(self, file: JobFile) -> _Seen:
        fresh = msgspec.structs.replace(file, text_key=None)
        order = self._unpack(of_file(self._order, fresh), file.index, self._text_left_bytes)
        with self._context.open(order.rows_key, self._sign) as content:
            size_bytes = content.seek(0, io.SEEK_END)
            content.seek(0)
            if not size_bytes:
                return _Seen(order, 0)
            job_input = open_input(content, order)
            chunks = plan_chunks(job_input, chunk_bytes=self._context.settings.chunk_bytes)
        return _Seen(order, size_bytes, job_input, chunks)

    def _take(self, file: JobFile, seen: _Seen) -> JobFile:
        if seen.order.text_key is not None:
            self._text_left_bytes -= seen.size_bytes
        if seen.job_input is not None:
            self._check_fed(seen.job_input.columns)
            self._take_columns(seen.job_input, seen.order, file)
            self._chunks += [msgspec.structs.replace(chunk, file=file.index) for chunk in seen.chunks]
            self._orders.append(seen.order)
        return msgspec.structs.replace(file, text_key=seen.order.text_key, is_empty=seen.job_input is None)

    def _take_columns(self, job_input: JobInput, order: Order, file: JobFile) -> None:
        self._common.add(job_input.carried(), file_name=file.name)
        if isinstance(job_input, CsvInput) and order.output_format is FileFormat.CSV:
            self._check_delimiter(job_input.dialect.delimiter)
        if isinstance(job_input, ParquetInput):
            self._of_folders |= {(name, value.as_py()) for name, value in job_input.fixed.items()}

    def _type_folders(self) -> None:
        """What folders say, and the model does not take, are whole numbers if all of them are."""
        others = {name for name, value in self._of_folders if not _is_whole(value)}
        names = {name for name, _ in self._of_folders} - others - set(self._fed or ())
        for name in names & set(self._common.names):
            self._common.retype(name, pa.int64())

    def _check_fed(self, columns: Columns) -> None:
        """Where the model was trained without names, the order of the columns must not change on the way."""
        fed = [columns.names[at] for at in columns.fed]
        self._fed = self._fed or fed
        if fed != self._fed:
            raise ColumnsDoNotFit(
                f"the model takes its columns by their order, and that is {listed(fed)} here and"
                f" {listed(self._fed)} in the files before"
            )

    def _check_delimiter(self, delimiter: str) -> None:
        self._delimiter = self._delimiter or delimiter
        if delimiter != self._delimiter:
            raise ColumnsDoNotFit(
                f"the delimiter is {delimiter!r}, and {self._delimiter!r} in the files before: write all with"
                " the same, or ask for another `output_format`"
            )


def _is_whole(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_whole_number(value))
