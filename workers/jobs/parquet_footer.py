"""A Parquet file's footer: where everything in the file is. Kept as Thrift, so that nothing in it is lost.

Field numbers: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import io
from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from workers.jobs.thrift_compact import (
    Field,
    Kind,
    ListOf,
    MalformedThrift,
    ThriftStruct,
    decode_struct,
    encode_struct,
)

MAGIC = b"PAR1"
_TAIL_BYTES = 8  # length of the footer, magic
MAX_FOOTER_BYTES = 32 * 1024 * 1024  # of 250,000 column chunks or so; each costs time and memory here


class FileField(IntEnum):
    """Fields of FileMetaData."""

    SCHEMA = 2
    ROWS = 3
    ROW_GROUPS = 4
    METADATA = 5
    COLUMN_ORDERS = 7


class GroupField(IntEnum):
    """Fields of RowGroup."""

    COLUMNS = 1
    BYTES = 2
    ROWS = 3
    SORTING = 4
    FILE_OFFSET = 5
    COMPRESSED_BYTES = 6
    ORDINAL = 7


class ChunkField(IntEnum):
    """Fields of ColumnChunk."""

    FILE_PATH = 1
    FILE_OFFSET = 2
    METADATA = 3


class ColumnField(IntEnum):
    """Fields of ColumnMetaData."""

    VALUES = 5
    BYTES = 6
    COMPRESSED_BYTES = 7
    DATA_PAGE = 9
    INDEX_PAGE = 10
    DICTIONARY_PAGE = 11
    STATISTICS = 12
    ENCODING_STATS = 13
    BLOOM_FILTER = 14
    BLOOM_FILTER_BYTES = 15
    SIZE_STATISTICS = 16


class ElementField(IntEnum):
    """Fields of SchemaElement."""

    REPETITION = 3
    NAME = 4
    CHILDREN = 5


class TopColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the table, which may be nested.

    Attributes:
        elements: its part of the flattened schema.
        leaves: positions, in a row group, of the column chunks that hold it.
    """

    name: str
    elements: list[ThriftStruct]
    leaves: range


def read_footer(file: BinaryIO) -> ThriftStruct:
    """The footer of a Parquet file.

    Raises:
        MalformedThrift: it is no Parquet file, an encrypted one, or one of too many columns and row groups.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(max(end - _TAIL_BYTES, 0))
    tail = file.read(_TAIL_BYTES)
    if tail[4:] != MAGIC:
        raise MalformedThrift("no Parquet file")
    size = int.from_bytes(tail[:4], "little")
    if size > MAX_FOOTER_BYTES:
        raise MalformedThrift(
            f"its footer has {size} bytes, and may have {MAX_FOOTER_BYTES}: write fewer, larger row groups"
        )
    file.seek(max(end - _TAIL_BYTES - size, 0))
    return decode_struct(file.read(size))


def footer_bytes(footer: ThriftStruct) -> bytes:
    """The end of a Parquet file."""
    encoded = encode_struct(footer)
    return encoded + len(encoded).to_bytes(4, "little") + MAGIC


def empty_footer(schema: pa.Schema) -> ThriftStruct:
    """The footer of a file with these columns and no rows."""
    file = io.BytesIO()
    pq.ParquetWriter(file, schema).close()
    return read_footer(file)


def number(fields: ThriftStruct, of: int) -> int:
    """The value of a field; 0 where it is absent."""
    return int(fields[of].value) if of in fields else 0


def structs(fields: ThriftStruct, of: int) -> list[ThriftStruct]:
    """The elements of a list; none where it is absent."""
    return list(fields[of].value.items) if of in fields else []


def first_page(metadata: ThriftStruct) -> int:
    """Where the column chunk of that ColumnMetaData begins in the file."""
    # A dictionary comes before the data. Some writers say 0 where there is none.
    dictionary = number(metadata, ColumnField.DICTIONARY_PAGE)
    data = number(metadata, ColumnField.DATA_PAGE)
    return min(dictionary, data) if dictionary else data


def changed(fields: ThriftStruct, numbers: Mapping[int, int], *, drop: Collection[int] = ()) -> ThriftStruct:
    """A copy with some integers set and some fields left out."""
    kept = {of: field for of, field in fields.items() if of not in drop}
    kinds = {of: fields[of].kind if of in fields else Kind.I64 for of in numbers}
    return kept | {of: Field(kinds[of], value) for of, value in numbers.items()}


def list_of_structs(items: list[ThriftStruct]) -> Field:
    """A list as a field."""
    return Field(Kind.LIST, ListOf(Kind.STRUCT, items))


def top_columns(footer: ThriftStruct) -> list[TopColumn]:
    """The columns of the table, in order."""
    elements = structs(footer, FileField.SCHEMA)
    columns: list[TopColumn] = []
    at, leaf = 1, 0
    for _ in range(number(elements[0], ElementField.CHILDREN)):
        size = _subtree_size(elements, at)
        subtree = elements[at : at + size]
        leaves = sum(number(element, ElementField.CHILDREN) == 0 for element in subtree)
        name = subtree[0][ElementField.NAME].value.decode()
        columns.append(TopColumn(name=name, elements=subtree, leaves=range(leaf, leaf + leaves)))
        at, leaf = at + size, leaf + leaves
    return columns


def _subtree_size(elements: list[ThriftStruct], at: int) -> int:
    """How many elements of the flattened tree belong to the one at `at`, itself included."""
    open_children, size = 1, 0
    while open_children:
        open_children += number(elements[at + size], ElementField.CHILDREN) - 1
        size += 1
    return size
