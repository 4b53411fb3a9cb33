"""What is wrong with records that could not be read, in words, and where it is."""

import csv
import re
from collections.abc import Mapping

import pyarrow as pa

from shared.catalog.verdict import Datatype
from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_values import parsed
from shared.predictions.values import COERCE, WORDS
from workers.jobs.csv_dialect import CsvDialect
from workers.jobs.first_failing import first_failing

_SHOWN = 60  # characters of a value
_DIGITS = re.compile(r"\s*[+-]?[0-9]+\s*")


def broken_record(records: pa.Array, dialect: CsvDialect, *, first_row: int) -> UnreadableInput | None:
    """The first record that is not UTF-8 or has another number of fields than the header."""
    for row, record in enumerate(records.to_pylist(), first_row):
        try:
            fields = next(csv.reader([record.decode()], delimiter=dialect.delimiter), [])
        except UnicodeDecodeError:
            return UnreadableInput("the record is not text in UTF-8: say in `encoding` what it is", row=row)
        if len(fields) != len(dialect.names):
            return UnreadableInput(
                f"the record has {len(fields)} fields where the header has {len(dialect.names)}", row=row
            )
    return None


def unfit_value(
    texts: pa.Table, wanted: Mapping[str, Datatype], dialect: CsvDialect, *, first_row: int
) -> UnreadableInput | None:
    """The first value that does not fit.

    Args:
        texts: the columns as text, by their positions as text; nulls are missing values.
        wanted: of each.
    """
    found = [
        (row, at)
        for at, datatype in wanted.items()
        if (row := _first_unfit(texts[at].combine_chunks(), datatype)) is not None
    ]
    if not found:
        return None
    row, at = min(found)
    name, text = dialect.names[int(at)], texts[at][row].as_py()
    return UnreadableInput(_what_is_wrong(text, wanted[at]), row=first_row + row, column=name)


def _first_unfit(texts: pa.Array, wanted: Datatype) -> int | None:
    if _fits(texts, wanted):
        return None
    return first_failing(len(texts), lambda rows: not _fits(texts.slice(0, rows), wanted))


def _fits(texts: pa.Array, wanted: Datatype) -> bool:
    try:
        parsed(texts, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _what_is_wrong(text: str, wanted: Datatype) -> str:
    """In words: a number that is too large, or nothing that the datatype has a spelling for."""
    shown = repr(text[:_SHOWN])
    try:
        COERCE[wanted](int(text) if _DIGITS.fullmatch(text) else float(text))
    except OverflowError as error:
        return f"{shown} does not fit: {error}"
    except (TypeError, ValueError):
        pass
    return f"{shown} is not {WORDS[wanted]}"
