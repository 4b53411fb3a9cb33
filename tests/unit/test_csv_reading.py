"""CSV as records, chunks and dialects, compared with Python's own csv module."""

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.errors import UnreadableInput
from shared.jobs.job import ByteRange
from workers.jobs.csv_cut import cut_records, whole_records
from workers.jobs.csv_dialect import read_dialect
from workers.jobs.csv_text import csv_lines, split_records

values = st.text(alphabet=st.sampled_from('ab1,;"\n é'), max_size=6)
# One more value in front: a record of one empty field is a blank line, which is no record.
records = st.lists(st.lists(values, min_size=1, max_size=3).map(lambda record: ["x", *record]), max_size=12)


def written(rows: list[list[str]], line_end: str) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator=line_end).writerows(rows)
    return file.getvalue().encode()


def parsed(block: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(block.decode(), newline="")))


@given(records, st.sampled_from(["\n", "\r\n"]))
def test_a_block_splits_into_its_records(rows: list[list[str]], line_end: str):
    block = written(rows, line_end)

    split = split_records(block)

    assert [parsed(record)[0] for record in split.to_pylist()] == rows


@given(records, st.integers(1, 40), st.integers(1, 40))
def test_chunks_and_blocks_hold_every_record_once_and_whole(
    rows: list[list[str]], chunk_bytes: int, block_bytes: int
):
    file = io.BytesIO(b"header\n" + written(rows, "\n"))

    chunks = cut_records(file, start=7, end=len(file.getvalue()), chunk_bytes=chunk_bytes)

    found = [
        row
        for chunk in chunks
        for block in whole_records(file, chunk, block_bytes=block_bytes)
        for row in parsed(block)
    ]
    assert found == rows
    assert all(chunk.end - chunk.start >= chunk_bytes for chunk in chunks[:-1])


def test_records_reach_over_the_blocks_that_are_scanned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workers.jobs.csv_cut._SCAN_BYTES", 5)
    content = b'a,"x\ny\nz",1\nb,"p",2\nc,d,3\n'

    chunks = cut_records(io.BytesIO(content), start=0, end=len(content), chunk_bytes=1)

    assert [content[chunk.start : chunk.end] for chunk in chunks] == [
        b'a,"x\ny\nz",1\n',
        b'b,"p",2\n',
        b"c,d,3\n",
    ]


def test_a_quote_that_is_never_closed_is_refused():
    content = b'a,"b\nc,d\n'

    with pytest.raises(UnreadableInput, match="never closed"):
        cut_records(io.BytesIO(content), start=0, end=len(content), chunk_bytes=4)


def test_blank_lines_are_no_records_and_the_last_line_needs_no_end():
    assert split_records(b"\n1\n\r\n\n2").to_pylist() == [b"1", b"2"]
    assert list(whole_records(io.BytesIO(b"1\n2"), ByteRange(0, 3), block_bytes=1)) == [b"1\n", b"2"]


@pytest.mark.parametrize(
    ("content", "delimiter", "names", "start"),
    [
        (b"a,b\n1,2\n", ",", ["a", "b"], 4),
        (b"a;b\r\n1;2\r\n", ";", ["a", "b"], 5),
        (b"a\tb|c\td\n", "\t", ["a", "b|c", "d"], 8),
        (b"a|b|c\n", "|", ["a", "b", "c"], 6),
        (b'"x,y,z";b\n', ";", ["x,y,z", "b"], 10),
        (b'"a\nb",c\n1,2\n', ",", ["a\nb", "c"], 8),
        (b"\xef\xbb\xbfa,b\n", ",", ["a", "b"], 7),
        (b"only", ",", ["only"], 4),
    ],
)
def test_a_header_tells_how_the_file_is_written(content: bytes, delimiter: str, names: list[str], start: int):
    dialect = read_dialect(io.BytesIO(content))

    assert (dialect.delimiter, dialect.names, dialect.start) == (delimiter, names, start)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1.5,2,3\n4,5,6\n", "all numbers"),
        (b"\n1,2\n", "header"),
        (b",,\n1,2,3\n", "header"),
        ("naïve,b\n".encode("latin-1"), "UTF-8"),
    ],
)
def test_a_file_without_a_header_in_utf_8_is_refused(content: bytes, says: str):
    with pytest.raises(UnreadableInput, match=says):
        read_dialect(io.BytesIO(content))


@given(st.lists(st.tuples(st.floats(allow_nan=False), values), min_size=1, max_size=10))
def test_lines_read_back_as_the_values_they_were_made_of(rows: list[tuple[float, str]]):
    columns = [pa.array([number for number, _ in rows]), pa.array([text for _, text in rows])]

    lines = csv_lines(columns, ";")

    read = [
        next(csv.reader(io.StringIO(line.decode(), newline=""), delimiter=";")) for line in lines.to_pylist()
    ]
    assert [(float(number), text) for number, text in read] == rows
