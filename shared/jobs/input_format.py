"""Which format a file has: told by its first bytes; its name only helps to explain a refusal."""

from shared.errors import UnsupportedFormat
from shared.jobs.job import FileFormat

SNIFFED_BYTES = 4096

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


def format_of(head: bytes, file_name: str) -> FileFormat:
    """The format of a file that begins with `head`.

    Raises:
        UnsupportedFormat: it is neither Parquet nor text.
    """
    if head.startswith(b"PAR1"):
        return FileFormat.PARQUET
    for magic, what in _KNOWN_OTHERS.items():
        if head.startswith(magic):
            raise UnsupportedFormat(f"the file {file_name!r} is {what}; jobs read Parquet and CSV")
    if b"\0" in head or file_name.lower().endswith((".parquet", ".pq")):
        raise UnsupportedFormat(f"the file {file_name!r} is neither Parquet nor CSV text")
    return FileFormat.CSV
