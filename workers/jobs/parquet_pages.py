"""The pages of Parquet's columns, looked at before they are unpacked.

A page is unpacked into as many bytes as its header says that it holds, up to 2 GiB, and every column that is
read has one open at a time: a few hundred bytes could end a worker, and with it other tenants' chunks.

Source: PageHeader of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from collections.abc import Collection, Iterator, Sequence
from enum import IntEnum
from typing import BinaryIO, Final

import msgspec
import pyarrow.parquet as pq

from shared.jobs.errors import UnreadableInput
from workers.jobs.parquet_check import damaged
from workers.jobs.parquet_footer import ChunkField, ColumnField, first_page, number
from workers.jobs.thrift_compact import MalformedThrift, ThriftStruct, decode_first

MAX_OPEN_BYTES: Final = 1024 * 1024 * 1024  # of the largest pages of all columns that are read together

_HEADER_STEPS: Final = (256, 16 * 1024, 1024 * 1024)  # bytes; statistics make some headers long


class _PageField(IntEnum):
    KIND = 1
    UNPACKED_BYTES = 2
    STORED_BYTES = 3
    DATA = 5
    DICTIONARY = 7
    DATA_2 = 8


_DESCRIBED_IN: Final = {0: _PageField.DATA, 2: _PageField.DICTIONARY, 3: _PageField.DATA_2}
_DICTIONARY: Final = 2


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """Values: of data; 0 for a dictionary, and for what readers pass over."""

    unpacked_bytes: int
    values: int
    end: int


_NO_PAGE: Final = _Page(unpacked_bytes=0, values=0, end=0)


def leaves_of(schema: pq.ParquetSchema, names: Collection[str]) -> list[int]:
    """Positions, in a row group, of the column chunks that hold these columns of the table."""
    wanted = frozenset(names)
    return [at for at in range(len(schema)) if not wanted.isdisjoint(_prefixes(schema.column(at).path))]


def check_pages(file: BinaryIO, columns: Sequence[ThriftStruct], leaves: Collection[int]) -> None:
    """Let through the columns of a row group whose pages lie within them and can be held in memory.

    Args:
        columns: the column chunks of the group, from a footer that was checked. pyarrow's own view of them
            ends the process where their statistics contradict the schema.
        leaves: positions of those that are to be read.

    Raises:
        UnreadableInput: they do not, or cannot.
    """
    metadata = [columns[at][ChunkField.METADATA].value for at in leaves]
    try:
        largest = [max(page.unpacked_bytes for page in _pages(file, column)) for column in metadata]
    except (TypeError, ValueError):
        raise damaged("the header of a page is of other types than it must be") from None
    if sum(largest) > MAX_OPEN_BYTES:
        raise UnreadableInput(
            f"the Parquet file has pages that unpack to {sum(largest)} bytes side by side, and may have"
            f" {MAX_OPEN_BYTES}: write smaller row groups, with pyarrow by `write_table(table,"
            " row_group_size=100_000)`"
        )


def _prefixes(path: str) -> Iterator[str]:
    """The path of a leaf, and of each group around it: names may have dots in them too."""
    ends = [at for at, character in enumerate(path) if character == "."]
    yield from (path[:end] for end in (*ends, len(path)))


def _pages(file: BinaryIO, column: ThriftStruct) -> Iterator[_Page]:
    """The pages that a reader comes by until it has all values, and an empty one before them."""
    values, at = number(column, ColumnField.VALUES), first_page(column)
    left, end = values, at + number(column, ColumnField.COMPRESSED_BYTES)
    yield _NO_PAGE
    while left > 0 and at < end:
        page = _page(file, at, end)
        yield page
        at, left = page.end, left - page.values
    if left:
        raise damaged(f"a column has not the {values} values that it claims")


def _page(file: BinaryIO, at: int, end: int) -> _Page:
    header, size = _header(file, at, end)
    kind, described = number(header, _PageField.KIND), _described(header)
    page = _Page(
        unpacked_bytes=number(header, _PageField.UNPACKED_BYTES),
        values=0 if kind == _DICTIONARY else number(described, 1),
        end=at + size + number(header, _PageField.STORED_BYTES),
    )
    if page.unpacked_bytes < 0 or page.values < 0 or not at + size <= page.end <= end:
        raise damaged(f"the page at byte {at} does not fit into its column")
    return page


def _described(header: ThriftStruct) -> ThriftStruct:
    """What the header says of a page of its kind; nothing for kinds that readers pass over."""
    where = _DESCRIBED_IN.get(number(header, _PageField.KIND))
    if where is None:
        return {}
    described = header[where].value if where in header else None
    if not isinstance(described, dict):
        raise damaged("a page lacks what its header must say")
    return described


def _header(file: BinaryIO, at: int, end: int) -> tuple[ThriftStruct, int]:
    for step in _HEADER_STEPS:
        file.seek(at)
        data = file.read(min(step, end - at))
        try:
            header, size = decode_first(data)
        except MalformedThrift:
            if len(data) < step:
                break
            continue
        return header, size
    raise damaged(f"there is no page at byte {at}")
