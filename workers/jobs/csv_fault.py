"""What is wrong with records that could not be read, in words, and where it is."""

import re
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from shared.catalog.verdict import Datatype
from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_values import parsed
from shared.predictions.values import COERCE, WORDS
from workers.jobs.csv_dialect import CsvDialect, fields_of
from workers.jobs.failing_rows import failing_rows
from workers.jobs.first_failing import first_failing

_SHOWN = 60  # characters of a value
_DIGITS = re.compile(r"\s*[+-]?[0-9]+\s*")


def broken_records(records: pa.Array, dialect: CsvDialect, *, first_row: int) -> Iterator[UnreadableInput]:
    """The records that are not UTF-8, cannot be told apart or have more or fewer fields than the header."""
    for row, record in enumerate(records.to_pylist(), first_row):
        try:
            fields = fields_of(record.decode(), dialect.delimiter)
        except UnicodeDecodeError:
            yield UnreadableInput("the record is not text in UTF-8: say in `encoding` what it is", row=row)
            continue
        except UnreadableInput as fault:
            yield UnreadableInput(str(fault), row=row)
            continue
        if len(fields) != len(dialect.names):
            yield UnreadableInput(
                f"the record has {len(fields)} fields where the header has {len(dialect.names)}", row=row
            )


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


def unfit_values(
    texts: pa.Table, wanted: Mapping[str, Datatype], dialect: CsvDialect
) -> dict[int, UnreadableInput]:
    """Every row with a value that does not fit, and of several in it the first. Arguments as above."""
    faults: dict[int, UnreadableInput] = {}
    for at, datatype in wanted.items():
        column = texts[at].combine_chunks()
        for row, _ in failing_rows(0, len(column), fault=_check(column, datatype)):
            what = _what_is_wrong(column[row].as_py(), datatype)
            faults.setdefault(row, UnreadableInput(what, row=row, column=dialect.names[int(at)]))
    return faults


def _check(texts: pa.Array, wanted: Datatype) -> Callable[[int, int], bool | None]:
    return lambda start, stop: None if _fits(texts.slice(start, stop - start), wanted) else True


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
