"""Which format a file has: told by its first bytes; its name only helps to explain a refusal."""

import re
from codecs import BOM_UTF8

from shared.errors import UnsupportedFormat
from shared.jobs.job import FileFormat

SNIFFED_BYTES = 4096

READ_HERE = "jobs read Parquet, CSV and JSON Lines"

_KNOWN_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel file: save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"ORC": "an ORC file: save it as Parquet",
    b"PARE": "an encrypted Parquet file: decrypt it first",
    b"\xff\xfe": "text in UTF-16: save it in UTF-8",
    b"\xfe\xff": "text in UTF-16: save it in UTF-8",
}
_OBJECT = re.compile(rb'\s*\{\s*("|\})')
_ARRAY_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")
_ENDINGS = {
    (".parquet", ".pq"): "Parquet",
    (".jsonl", ".ndjson"): "JSON Lines, an object a line",
}


def format_of(head: bytes, file_name: str, asked: FileFormat | None = None) -> FileFormat:
    """The format of a file that begins with `head`.

    Args:
        asked: what the sender says that it is.

    Raises:
        UnsupportedFormat: it is of none that is read here, or not what was said.
    """
    found = _found(head, file_name, asked)
    if asked not in (None, found):
        raise UnsupportedFormat(f"the file {file_name!r} is not {asked}, as `format` says, but {found}")
    return found


def _found(head: bytes, file_name: str, asked: FileFormat | None) -> FileFormat:
    if head.startswith(b"PAR1"):
        return FileFormat.PARQUET
    for magic, what in _KNOWN_OTHERS.items():
        if head.startswith(magic):
            raise UnsupportedFormat(f"the file {file_name!r} is {what}; {READ_HERE}")
    if b"\0" in head:
        raise UnsupportedFormat(f"the file {file_name!r} is neither Parquet nor text; {READ_HERE}")
    return _format_of_text(head.removeprefix(BOM_UTF8), file_name, asked)


def _format_of_text(head: bytes, file_name: str, asked: FileFormat | None) -> FileFormat:
    if asked in (FileFormat.CSV, FileFormat.JSONL):
        return asked
    if _OBJECT.match(head):
        return FileFormat.JSONL
    if _ARRAY_OF_OBJECTS.match(head):
        raise UnsupportedFormat(
            f"the file {file_name!r} is a JSON array: write an object a line instead (JSON Lines), as pandas"
            ' does with `to_json(..., orient="records", lines=True)`'
        )
    for endings, expected in _ENDINGS.items():
        if file_name.lower().endswith(endings):
            raise UnsupportedFormat(
                f"the file {file_name!r} is not {expected}, though its name says so: {READ_HERE}"
            )
    return FileFormat.CSV
