"""Which format a file has: told by its first bytes; its name only helps to explain a refusal."""

import re
from collections.abc import Sequence

import msgspec

from shared.errors import UnsupportedFormat
from shared.jobs.job import FileFormat
from shared.jobs.text_encoding import GZIP, TextEncoding, as_utf_8, encoding_of, unpacked_head

SNIFFED_BYTES = 4096

READ_HERE = "jobs read Parquet, Arrow, CSV and JSON Lines"

_BINARY = {
    b"PAR1": FileFormat.PARQUET,
    b"ARROW1": FileFormat.ARROW,
    b"\xff\xff\xff\xff": FileFormat.ARROW,  # how messages of a stream begin
}
_KNOWN_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel file: save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first, or compress it with gzip",
    b"BZh": "compressed with bzip2: unpack it first, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz: unpack it first, or compress it with gzip",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"FEA1": "a Feather file of version 1: save it in version 2",
    b"ORC": "an ORC file: save it as Parquet",
    b"PARE": "an encrypted Parquet file: decrypt it first",
    b"\xff\xfe\x00\x00": "text in UTF-32: save it in UTF-8",
    b"\x00\x00\xfe\xff": "text in UTF-32: save it in UTF-8",
}
_OBJECT = re.compile(rb'\s*\{\s*("|\})')
_ARRAY_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")
_ENDINGS = {
    (".parquet", ".pq"): "Parquet",
    (".arrow", ".arrows", ".feather", ".ipc"): "Arrow",
    (".jsonl", ".ndjson"): "JSON Lines, an object a line",
}
_TAR_AT = slice(257, 262)


class Recognised(msgspec.Struct, frozen=True):
    """What a file is. Encoding: of text, None of other formats."""

    format: FileFormat
    encoding: TextEncoding | None = None


def recognise(
    head: bytes, file_name: str, *, format_: FileFormat | None = None, encoding: TextEncoding | None = None
) -> Recognised:
    """What a file is that begins with `head`, which is read as far as it can be.

    Args:
        format_: what the sender says that it is.
        encoding: likewise of its text.

    Raises:
        UnsupportedFormat: it is of no format that is read here, or not what was said.
    """
    found = _recognised(head, file_name, format_, encoding)
    if format_ not in (None, found.format):
        raise UnsupportedFormat(
            f"the file {file_name!r} is not {format_}, as `format` says, but {found.format}"
        )
    return found


def recognise_all(
    names: Sequence[str],
    heads: Sequence[bytes],
    *,
    format_: FileFormat | None = None,
    encoding: TextEncoding | None = None,
) -> list[Recognised]:
    """What each of a job's files is. Those without anything in them are what the others are.

    Raises:
        UnsupportedFormat: they are of several formats, or one is of none that is read here.
    """
    each = [
        recognise(head, name, format_=format_, encoding=encoding)
        for name, head in zip(names, heads, strict=True)
    ]
    filled = [at for at, head in enumerate(heads) if _holds_something(head)] or [0]
    first = filled[0]
    for at in filled:
        if each[at].format is not each[first].format:
            raise UnsupportedFormat(
                f"the file {names[first]!r} is {each[first].format} and {names[at]!r} is {each[at].format}:"
                " a job takes files of one format"
            )
    return [Recognised(each[first].format, found.encoding) for found in each]


def _holds_something(head: bytes) -> bool:
    return bool(unpacked_head(head, most_bytes=SNIFFED_BYTES))


def _recognised(
    head: bytes, file_name: str, format_: FileFormat | None, encoding: TextEncoding | None
) -> Recognised:
    for magic, binary in _BINARY.items():
        if head.startswith(magic):
            return Recognised(binary)
    content = unpacked_head(head, most_bytes=SNIFFED_BYTES)
    _refuse_others(content, file_name, is_packed=content is not head)
    found = encoding_of(content, encoding)
    text = as_utf_8(content, found)
    if b"\0" in text:
        raise UnsupportedFormat(
            f"the file {file_name!r} is neither Parquet nor text: {READ_HERE}; text in UTF-16 without a mark"
            " is read where `encoding` says utf-16"
        )
    return Recognised(_format_of_text(text, file_name, format_), found)


def _refuse_others(content: bytes, file_name: str, *, is_packed: bool) -> None:
    packed = {GZIP, *_BINARY} if is_packed else set()
    if content.startswith(tuple(packed)):
        raise UnsupportedFormat(
            f"the file {file_name!r} is compressed with gzip, and what is in it is no text: unpack it first"
        )
    if content[_TAR_AT] == b"ustar":
        raise UnsupportedFormat(f"the file {file_name!r} is a tar archive: send the file that is in it")
    for magic, what in _KNOWN_OTHERS.items():
        if content.startswith(magic):
            raise UnsupportedFormat(f"the file {file_name!r} is {what}; {READ_HERE}")


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
        if file_name.lower().removesuffix(".gz").endswith(endings):
            raise UnsupportedFormat(
                f"the file {file_name!r} is not {expected}, though its name says so: {READ_HERE}"
            )
    return FileFormat.CSV
