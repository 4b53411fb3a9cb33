"""How a CSV file is written: its delimiter and its header. Everything else is RFC 4180 in UTF-8."""

import csv
from codecs import BOM_UTF8
from typing import BinaryIO

import msgspec

from shared.jobs.errors import UnreadableInput
from shared.number_text import is_number
from workers.jobs.csv_text import MAX_RECORD_BYTES, record_ends

DELIMITERS = ",;\t|"

_HEADER_STEP_BYTES = 64 * 1024
_HEADER_MAX_BYTES = 4 * 1024 * 1024
# Records are bounded where they are cut; Python's own bound would refuse what Arrow reads. It counts for the
# whole process, in which nothing else reads CSV with Python.
csv.field_size_limit(MAX_RECORD_BYTES)


class CsvDialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one file is written.

    Attributes:
        header: the first record as it stands, without the mark of UTF-8 and the line end.
        names: of the columns, as the header spells them.
        start: offset of the first record after the header.
    """

    delimiter: str
    header: bytes
    names: list[str]
    start: int


def read_dialect(file: BinaryIO) -> CsvDialect:
    """Learn how a file is written from its header.

    Raises:
        UnreadableInput: there is no header, or it is not text in UTF-8.
    """
    line = _first_record(file)
    header = line.removeprefix(BOM_UTF8).rstrip(b"\r\n")
    text = _decoded(header)
    delimiter = _most_frequent(text)
    names = fields_of(text, delimiter)
    _check_names(names)
    return CsvDialect(delimiter=delimiter, header=header, names=names, start=len(line))


def fields_of(record: str, delimiter: str) -> list[str]:
    """The fields of one record.

    Raises:
        UnreadableInput: there is a line end in it that is none here.
    """
    try:
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        raise UnreadableInput(
            "a carriage return (CR) stands alone and outside quotes: lines end with LF or CRLF"
        ) from None


def _first_record(file: BinaryIO) -> bytes:
    file.seek(0)
    head = b""
    while piece := file.read(_HEADER_STEP_BYTES):
        head += piece
        ends = record_ends(head)
        if len(ends):
            return head[: int(ends[0]) + 1]
        if len(head) > _HEADER_MAX_BYTES:
            raise UnreadableInput(
                "the CSV file has no line end in its first 4 MB: lines end with LF or CRLF, quotes in pairs"
            )
    return head


def _decoded(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError:
        raise UnreadableInput("the CSV file is not text in UTF-8: say in `encoding` what it is") from None


def _most_frequent(header: str) -> str:
    """The delimiter that is found most often outside quotes; the comma where none is found."""
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _check_names(names: list[str]) -> None:
    if not any(name.strip() for name in names):
        raise UnreadableInput("the CSV file does not begin with a header line that names its columns")
    if all(map(is_number, names)):
        raise UnreadableInput(
            "the first line of the CSV file is all numbers: it must be a header that names the columns"
        )
