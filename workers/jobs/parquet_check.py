"""Whether a Parquet file is what its footer says, before a value of it is read.

pyarrow believes what it finds: a row group that claims fewer rows than its columns have loses the others
without a word, and the join copies byte ranges without ever decoding them.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO

from shared.jobs.errors import UnreadableInput
from workers.jobs.parquet_footer import (
    MAGIC,
    ChunkField,
    ColumnField,
    ElementField,
    FileField,
    GroupField,
    first_page,
    number,
    read_footer,
    structs,
    top_columns,
)
from workers.jobs.thrift_compact import MalformedThrift, ThriftStruct

_REPEATED = 2  # of FieldRepetitionType


def check_footer(file: BinaryIO) -> None:
    """Let through a file whose footer agrees with itself and stays within the file.

    Raises:
        UnreadableInput: it does not.
    """
    try:
        _check(read_footer(file), size_bytes=file.seek(0, io.SEEK_END))
    except MalformedThrift as error:
        raise damaged(error) from None
    except (LookupError, AttributeError, TypeError, ValueError):
        raise damaged("its footer lacks what every footer has") from None


def damaged(why: object) -> UnreadableInput:
    """The error about a file that is not what it should be."""
    return UnreadableInput(f"the Parquet file is damaged: {why}")


def _check(footer: ThriftStruct, *, size_bytes: int) -> None:
    top_columns(footer)
    repeated = list(_repeated_leaves(footer))
    rows = stored = 0
    for at, group in enumerate(structs(footer, FileField.ROW_GROUPS)):
        chunks = structs(group, GroupField.COLUMNS)
        if len(chunks) != len(repeated):
            raise damaged(f"row group {at} has {len(chunks)} columns, and the file has {len(repeated)}")
        group_rows = number(group, GroupField.ROWS)
        for chunk, is_repeated in zip(chunks, repeated, strict=True):
            _check_rows(chunk, group_rows, at, is_repeated=is_repeated)
            if group_rows:  # what has none is never looked for, and writers say of its place what they like
                stored += _checked_size(chunk, at, size_bytes=size_bytes)
        rows += group_rows
    if rows != number(footer, FileField.ROWS):
        raise damaged(f"it claims {number(footer, FileField.ROWS)} rows, and its row groups have {rows}")
    if stored > size_bytes:  # the join would write them all
        raise damaged(f"its columns claim {stored} bytes, and the file has {size_bytes}: they overlap")


def _check_rows(chunk: ThriftStruct, rows: int, group: int, *, is_repeated: bool) -> None:
    values = number(_metadata(chunk), ColumnField.VALUES)
    if rows < 0 or values < rows or (values != rows and not is_repeated):
        raise damaged(f"row group {group} claims {rows} rows, and a column of it has {values} values")


def _checked_size(chunk: ThriftStruct, group: int, *, size_bytes: int) -> int:
    """How many bytes the column takes."""
    if ChunkField.FILE_PATH in chunk and chunk[ChunkField.FILE_PATH].value:
        raise UnreadableInput("the Parquet file keeps its columns in other files: write it as a single one")
    metadata = _metadata(chunk)
    start, size = first_page(metadata), number(metadata, ColumnField.COMPRESSED_BYTES)
    data = number(metadata, ColumnField.DATA_PAGE)
    if size and not len(MAGIC) <= start <= data < start + size <= size_bytes:
        raise damaged(f"a column of row group {group} lies outside the file, at byte {start} with {size}")
    return size


def _metadata(chunk: ThriftStruct) -> ThriftStruct:
    if ChunkField.METADATA not in chunk:
        raise UnreadableInput("the Parquet file has an encrypted column: decrypt it first")
    metadata: ThriftStruct = chunk[ChunkField.METADATA].value
    return metadata


def _repeated_leaves(footer: ThriftStruct) -> Iterator[bool]:
    """For each column chunk of a row group, in order, whether a row may have several values in it."""
    elements = iter(structs(footer, FileField.SCHEMA))
    open_groups = [[number(next(elements), ElementField.CHILDREN), 0]]  # children left, whether repeated
    for element in elements:
        while open_groups and not open_groups[-1][0]:
            open_groups.pop()
        open_groups[-1][0] -= 1
        repeats = open_groups[-1][1] or number(element, ElementField.REPETITION) == _REPEATED
        children = number(element, ElementField.CHILDREN)
        if children:
            open_groups.append([children, repeats])
        else:
            yield bool(repeats)
