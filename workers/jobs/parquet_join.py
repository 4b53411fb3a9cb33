"""One Parquet file out of several, without decoding a value.

Column chunks are copied byte by byte, and a new footer says where they are.
Two ways: below each other (`stack_parts`), and beside each other (`append_columns`), where a job's
predictions are put next to the very bytes of its input.
"""

import base64
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import msgspec
import pyarrow as pa

from workers.jobs.copying import copy_bytes
from workers.jobs.parquet_footer import (
    MAGIC,
    ChunkField,
    ColumnField,
    ElementField,
    FileField,
    GroupField,
    TopColumn,
    changed,
    empty_footer,
    first_page,
    footer_bytes,
    list_of_structs,
    number,
    read_footer,
    structs,
    top_columns,
)
from workers.jobs.thrift_compact import Field, Kind, ThriftStruct

_MAX_ORDINAL = 0x7FFF  # of 16 bits; larger files go without
_ARROW_SCHEMA = b"ARROW:schema"
_PANDAS = b"pandas"


class PartsDoNotFit(ValueError):
    """The parts have another number of rows than the input: the file would be wrong."""


class Pieces(msgspec.Struct, frozen=True):
    """Column chunks of one file which together are one column chunk of the output."""

    file: BinaryIO
    chunks: list[ThriftStruct]


def stack_parts(parts: Iterable[BinaryIO], schema: pa.Schema, *, sink: BinaryIO) -> None:
    """Write the row groups of all parts below each other. Every part has the columns of `schema`."""
    out = _JoinedFile(sink)
    for part in parts:
        for group in structs(read_footer(part), FileField.ROW_GROUPS):
            columns = [Pieces(part, [chunk]) for chunk in structs(group, GroupField.COLUMNS)]
            out.add_row_group(number(group, GroupField.ROWS), columns)
    out.close(empty_footer(schema))


def append_columns(
    table: BinaryIO,
    parts: Iterable[BinaryIO],
    schema: pa.Schema,
    *,
    keep: Collection[str] | None,
    sink: BinaryIO,
    partial: bool = False,
) -> None:
    """Write the columns of `table` and, beside them, those of the parts.

    The row groups are those of `table`. A part has its rows in any number of smaller row groups, written
    without dictionaries, so that the pages of several make one column chunk.

    Args:
        schema: the columns of the parts.
        keep: columns of `table` to carry over, in its own order; None: all.
        partial: end with the row group for which there are no more parts.

    Raises:
        PartsDoNotFit: the parts have other rows than the table.
    """
    footer = read_footer(table)
    names = None if keep is None else frozenset(keep)
    kept = [column for column in top_columns(footer) if names is None or column.name in names]
    leaves = list(chain.from_iterable(column.leaves for column in kept))
    out = _JoinedFile(sink)
    added = _PartGroups(parts)
    for group in structs(footer, FileField.ROW_GROUPS):
        chunks, rows = structs(group, GroupField.COLUMNS), number(group, GroupField.ROWS)
        if rows and partial and added.are_used_up():
            break
        if rows:
            carried = [Pieces(table, [chunks[leaf]]) for leaf in leaves]
            out.add_row_group(rows, [*carried, *added.take(rows)])
    added.check_used_up()
    out.close(_widened(footer, kept, schema=schema))


class _PartGroups:
    """The row groups of all parts in order, taken by numbers of rows."""

    def __init__(self, parts: Iterable[BinaryIO]) -> None:
        self._groups = self._each(parts)
        self._next: tuple[BinaryIO, ThriftStruct] | None = None  # looked at, and not taken yet

    def _each(self, parts: Iterable[BinaryIO]) -> Iterator[tuple[BinaryIO, ThriftStruct]]:
        for part in parts:
            for group in structs(read_footer(part), FileField.ROW_GROUPS):
                yield part, group

    def take(self, rows: int) -> list[Pieces]:
        """The columns of the next `rows` rows. A row group of the input is never split over parts."""
        taken: list[tuple[BinaryIO, ThriftStruct]] = []
        while rows > 0 and (following := self._following()):
            taken.append(following)
            rows -= number(following[1], GroupField.ROWS)
        if rows:
            raise PartsDoNotFit("the parts do not end where a row group of the input ends")
        columns = zip(*(structs(group, GroupField.COLUMNS) for _, group in taken), strict=True)
        return [Pieces(taken[0][0], list(chunks)) for chunks in columns]

    def are_used_up(self) -> bool:
        """Whether there are no more."""
        self._next = self._following()
        return self._next is None

    def _following(self) -> tuple[BinaryIO, ThriftStruct] | None:
        following, self._next = self._next or next(self._groups, None), None
        return following

    def check_used_up(self) -> None:
        """Refuse parts with more rows than the input."""
        if not self.are_used_up():
            raise PartsDoNotFit("the parts have more rows than the input")


class _JoinedFile:
    """The output while it grows."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._at = sink, len(MAGIC)
        self._groups: list[ThriftStruct] = []
        sink.write(MAGIC)

    def add_row_group(self, rows: int, columns: list[Pieces]) -> None:
        """Copy the columns of a row group."""
        start = self._at
        for column in columns:
            for file, offset, size in _stretches(column):
                self._copy(file, offset, size)
        chunks = _placed(columns, start)
        self._groups.append(_row_group(rows, chunks, start=start, ordinal=len(self._groups)))

    def close(self, footer: ThriftStruct) -> None:
        """Write `footer`, with the row groups that were added."""
        rows = sum(number(group, GroupField.ROWS) for group in self._groups)
        groups = {int(FileField.ROW_GROUPS): list_of_structs(self._groups)}
        self._sink.write(footer_bytes(changed(footer, {FileField.ROWS: rows}) | groups))

    def _copy(self, file: BinaryIO, offset: int, size: int) -> None:
        file.seek(offset)
        if copy_bytes(file, self._sink, size=size) < size:
            raise PartsDoNotFit("a part is cut off")
        self._at += size


def _metadata(chunk: ThriftStruct) -> ThriftStruct:
    metadata: ThriftStruct = chunk[ChunkField.METADATA].value
    return metadata


def _stretches(column: Pieces) -> Iterator[tuple[BinaryIO, int, int]]:
    """Where the bytes of a column are: file, offset, size."""
    for chunk in column.chunks:
        metadata = _metadata(chunk)
        yield column.file, first_page(metadata), number(metadata, ColumnField.COMPRESSED_BYTES)


def _placed(columns: list[Pieces], at: int) -> list[ThriftStruct]:
    """Descriptions of the columns, one after the other from offset `at`."""
    placed: list[ThriftStruct] = []
    for column in columns:
        metadata = _described(column, at)
        at += number(metadata, ColumnField.COMPRESSED_BYTES)
        placed.append(
            {
                ChunkField.FILE_OFFSET: Field(Kind.I64, 0),  # deprecated: 0 is what is asked for
                ChunkField.METADATA: Field(Kind.STRUCT, metadata),
            }
        )
    return placed


def _described(column: Pieces, at: int) -> ThriftStruct:
    if len(column.chunks) == 1:
        return _moved(_metadata(column.chunks[0]), at)
    return _merged([_metadata(chunk) for chunk in column.chunks], at)


def _moved(metadata: ThriftStruct, at: int) -> ThriftStruct:
    """The description of a column chunk that now begins at `at`. Filters and indexes stay behind."""
    shift = at - first_page(metadata)
    pages = (ColumnField.DATA_PAGE, ColumnField.INDEX_PAGE, ColumnField.DICTIONARY_PAGE)
    offsets: dict[int, int] = {
        page: number(metadata, page) + shift for page in pages if number(metadata, page)
    }
    return changed(metadata, offsets, drop=(ColumnField.BLOOM_FILTER, ColumnField.BLOOM_FILTER_BYTES))


def _merged(several: list[ThriftStruct], at: int) -> ThriftStruct:
    """The description of several column chunks whose pages now follow each other from `at`."""
    summed = (ColumnField.VALUES, ColumnField.BYTES, ColumnField.COMPRESSED_BYTES)
    sums: dict[int, int] = {of: sum(number(metadata, of) for metadata in several) for of in summed}
    of_one = (ColumnField.STATISTICS, ColumnField.ENCODING_STATS, ColumnField.SIZE_STATISTICS)
    return changed(several[0], {**sums, ColumnField.DATA_PAGE: at}, drop=of_one)


def _row_group(rows: int, chunks: list[ThriftStruct], *, start: int, ordinal: int) -> ThriftStruct:
    sizes = [_metadata(chunk) for chunk in chunks]
    compressed = sum(number(size, ColumnField.COMPRESSED_BYTES) for size in sizes)
    numbers: dict[int, int] = {
        GroupField.BYTES: sum(number(size, ColumnField.BYTES) for size in sizes),
        GroupField.ROWS: rows,
        GroupField.FILE_OFFSET: start,
        GroupField.COMPRESSED_BYTES: compressed,
    }
    group = changed({GroupField.COLUMNS: list_of_structs(chunks)}, numbers)
    if ordinal <= _MAX_ORDINAL:
        group[GroupField.ORDINAL] = Field(Kind.I16, ordinal)
    return group


def _widened(footer: ThriftStruct, kept: list[TopColumn], *, schema: pa.Schema) -> ThriftStruct:
    """The footer of a table that has lost the columns that are not `kept` and got those of `schema`."""
    added = empty_footer(schema)
    _, *new_elements = structs(added, FileField.SCHEMA)
    root, *_ = structs(footer, FileField.SCHEMA)
    root = changed(root, {ElementField.CHILDREN: len(kept) + len(schema)})
    elements = [root, *chain.from_iterable(column.elements for column in kept), *new_elements]
    widened = footer | {FileField.SCHEMA: list_of_structs(elements)}
    if FileField.COLUMN_ORDERS in footer:
        orders = structs(footer, FileField.COLUMN_ORDERS)
        leaves = chain.from_iterable(column.leaves for column in kept)
        new_orders = structs(added, FileField.COLUMN_ORDERS)
        widened[FileField.COLUMN_ORDERS] = list_of_structs([*(orders[leaf] for leaf in leaves), *new_orders])
    if FileField.METADATA in footer:
        whole = len(kept) == len(top_columns(footer))
        pairs = _widened_metadata(structs(footer, FileField.METADATA), kept, schema=schema, whole=whole)
        widened[FileField.METADATA] = list_of_structs(pairs)
    return widened


def _widened_metadata(
    pairs: list[ThriftStruct], kept: list[TopColumn], *, schema: pa.Schema, whole: bool
) -> list[ThriftStruct]:
    """Key-value pairs, with Arrow's copy of the schema brought up to date.

    What pandas noted about its index columns holds only while all columns are there.
    """
    result = []
    for pair in pairs:
        key = pair[1].value
        if key == _ARROW_SCHEMA:
            try:
                told = Field(Kind.BINARY, _widened_arrow_schema(pair[2].value, kept, schema))
            except (pa.ArrowException, OSError, ValueError):
                continue  # readers pass over a copy that is broken; it describes nothing
            result.append(pair | {2: told})
        elif key != _PANDAS or whole:
            result.append(pair)
    return result


def _widened_arrow_schema(encoded: bytes, kept: list[TopColumn], schema: pa.Schema) -> bytes:
    table = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(encoded)))
    names = {column.name for column in kept}
    fields = [field for field in table if field.name in names]
    metadata = {k: v for k, v in (table.metadata or {}).items() if k != _PANDAS or len(fields) == len(table)}
    widened = pa.schema([*fields, *schema], metadata=metadata)
    return base64.b64encode(widened.serialize().to_pybytes())
