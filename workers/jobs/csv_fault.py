"""What is wrong with records that could not be read, in words, and where it is."""

import csv

import pyarrow as pa
import pyarrow.compute as pc

from shared.jobs.errors import UnreadableInput
from workers.jobs.coercion import in_words
from workers.jobs.csv_dialect import CsvDialect
from workers.jobs.first_failing import first_failing

_SHOWN = 60  # characters of a value


def broken_record(records: pa.Array, dialect: CsvDialect, *, first_row: int) -> UnreadableInput | None:
    """The first record that is not UTF-8 or has another number of fields than the header."""
    for row, record in enumerate(records.to_pylist(), first_row):
        try:
            fields = next(csv.reader([record.decode()], delimiter=dialect.delimiter), [])
        except UnicodeDecodeError:
            return UnreadableInput("the record is not text in UTF-8", row=row)
        if len(fields) != len(dialect.names):
            return UnreadableInput(
                f"the record has {len(fields)} fields where the header has {len(dialect.names)}", row=row
            )
    return None


def unfit_value(
    texts: pa.Table, types: dict[str, pa.DataType], dialect: CsvDialect, *, first_row: int
) -> UnreadableInput | None:
    """The first value that is not of the type wanted.

    Args:
        texts: the columns as text, by their positions as text; nulls are missing values.
        types: wanted of each.
    """
    found = [
        (row, at) for at, wanted in types.items() if (row := _first_unfit(texts[at], wanted)) is not None
    ]
    if not found:
        return None
    row, at = min(found)
    name, shown = dialect.names[int(at)], texts[at][row].as_py()[:_SHOWN]
    return UnreadableInput(f"{shown!r} is not {in_words(types[at])}", row=first_row + row, column=name)


def _first_unfit(texts: pa.ChunkedArray, wanted: pa.DataType) -> int | None:
    if _fits(texts, wanted):
        return None
    return first_failing(len(texts), lambda rows: not _fits(texts.slice(0, rows), wanted))


def _fits(texts: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        trimmed = pc.utf8_trim_whitespace(texts)
        # Whole numbers may be spelled as floats, as pandas does beside missing values.
        (trimmed.cast(pa.float64()) if wanted == pa.int64() else trimmed).cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True
