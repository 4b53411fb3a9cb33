"""The same files read by others: pyarrow's whole-file readers, and Python's own csv, json and gzip."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.fuzzing.reading import COLUMNS, Read
from shared.catalog.verdict import Datatype
from shared.jobs.job import FileFormat
from shared.predictions.arrow_values import MISSING_IN_CSV

Rows = Sequence[dict[str, Any]]


def misread(content: bytes, read: Read) -> str | None:
    """Where the rows read are not those that another reader finds; None where that refuses the file."""
    try:
        expected = list(_READERS[read.format](read.text if read.text != content else content))
    except Exception:  # noqa: BLE001  what it does not read cannot be compared
        return None
    if read.total != len(expected):
        whole = read.total == len(read.rows)  # where rows are left out, what is a row may be open to question
        return f"{read.total} rows read, and there are {len(expected)}" if whole else None
    for number, row in zip(read.numbers, read.rows, strict=True):
        for name, value in row.items():
            other = expected[number].get(name)
            if not _alike(value, other, COLUMNS[name]):
                return f"row {number}, {name}: read {value!r}, and it is {other!r}"
    return None


def refused_by_all(content: bytes, read: Read) -> bool:
    """Whether the other reader cannot read the file at all."""
    try:
        list(_READERS[read.format](read.text if read.text != content else content))
    except Exception:  # noqa: BLE001
        return True
    return False


def _alike(value: Any, other: Any, wanted: Datatype) -> bool:
    if wanted is Datatype.BYTES:
        return value == (None if other is None else str(other))
    return _number(value, wanted) == _number(other, wanted)


def _number(value: Any, wanted: Datatype) -> Any:
    """A number as it is compared: missing ones and NaN are alike."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        value = {"Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
    if wanted is Datatype.FP32 and not isinstance(value, str):
        return float(np.float32(value))
    return float(value) if wanted is Datatype.FP64 and not isinstance(value, str) else value


def _parquet(content: bytes) -> Rows:
    file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    return file.read(columns=list(COLUMNS)).to_pylist()


def _arrow(content: bytes) -> Rows:
    # A file is read as the stream that it holds: its footer may say other things, which nobody looks at here.
    stream = content[8:] if content.startswith(b"ARROW1") else content
    table = pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
    table.validate(full=True)
    return table.select(list(COLUMNS)).to_pylist()


def _csv(content: bytes) -> Iterator[dict[str, Any]]:
    text = content.decode("utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key="".join(first.split('"')[::2]).count)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = next(records)
    for record in records:
        if record:
            if len(record) != len(names):
                raise ValueError(record)
            yield {name: _field(text, COLUMNS.get(name)) for name, text in zip(names, record, strict=True)}


def _field(text: str, wanted: Datatype | None) -> Any:
    """By docs/reference/values.md."""
    if wanted in (None, Datatype.BYTES):
        return None if text in MISSING_IN_CSV else text
    text = text.strip()
    if text in MISSING_IN_CSV:
        return None
    if text in {"true", "True", "TRUE"} or (text == "1" and wanted is Datatype.BOOL):
        return True
    if text in {"false", "False", "FALSE"} or (text == "0" and wanted is Datatype.BOOL):
        return False
    if wanted is Datatype.INT64:
        return (
            int(text, 0)
            if text.lower().startswith("0x")
            else int(float(text))
            if "." in text or "e" in text.lower()
            else int(text)
        )
    return float(text)


def _json(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.decode("utf-8-sig").split("\n"):
        if line.strip():
            yield json.loads(line)


_READERS = {
    FileFormat.PARQUET: _parquet,
    FileFormat.ARROW: _arrow,
    FileFormat.CSV: _csv,
    FileFormat.JSONL: _json,
}
