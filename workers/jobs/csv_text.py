"""CSV as text: records cut apart, and values made into lines. Quotes are those of RFC 4180."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds
from numpy.typing import NDArray

COMMA = ","  # of the output, where the input has no delimiter of its own
MAX_RECORD_BYTES = 64 * 1024 * 1024

_NEWLINE, _QUOTE = ord("\n"), ord('"')
_NEEDS_QUOTES = r'[",;\t|\r\n]'  # whatever delimiter a reader may take for one


def record_ends(block: bytes) -> NDArray[np.intp]:
    """Positions of the line ends that end a record: those outside quotes. The block begins with a record."""
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if b'"' in block:
        quotes = np.flatnonzero(text == _QUOTE)
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return ends


def split_records(block: bytes) -> pa.Array:
    """The records of a block of whole ones, without their line ends. Blank lines are none."""
    if not block.endswith(b"\n"):
        block += b"\n"
    ends = record_ends(block)
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends + 1
    # The block itself is the memory of the array: no line is copied one by one.
    lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    records = pc.binary_slice(lines, 0, -1)
    if b"\r" in block:
        records = pc.replace_substring_regex(records, rb"\r\z", b"")
    lengths = pc.binary_length(records)
    return records if pc.min(lengths).as_py() else records.filter(pc.greater(lengths, 0))


def can_be_text(given: pa.DataType) -> bool:
    """Whether a CSV file can hold values of this type."""
    if kinds.is_dictionary(given):
        given = given.value_type
    return not (kinds.is_nested(given) or _is_bytes(given))


def csv_lines(columns: Sequence[pa.Array], delimiter: str) -> pa.Array:
    """One line a row. Floats have as many digits as it takes to read them back the same; nulls are empty."""
    texts = [_text(column) for column in columns]
    joined = pc.binary_join_element_wise(*texts, delimiter, null_handling="replace", null_replacement="")
    return joined.cast(pa.binary())


def header_line(names: Sequence[str], delimiter: str) -> bytes:
    """The names of columns as one record."""
    line: bytes = csv_lines([pa.array([name]) for name in names], delimiter)[0].as_py()
    return line


def _text(column: pa.Array) -> pa.Array:
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    text = column.cast(pa.string())
    return text if kinds.is_primitive(column.type) else _quoted(text)


def _quoted(text: pa.Array) -> pa.Array:
    """In quotes where they are needed."""
    needed = pc.match_substring_regex(text, _NEEDS_QUOTES)
    if not pc.any(needed).as_py():
        return text
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(needed, quoted, text)


def _is_bytes(given: pa.DataType) -> bool:
    return bool(
        kinds.is_binary(given)
        or kinds.is_large_binary(given)
        or kinds.is_fixed_size_binary(given)
        or kinds.is_binary_view(given)
    )
