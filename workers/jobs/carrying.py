"""Columns of Arrow that go into an output of lines, be they of CSV or of JSON."""

from collections import Counter

import pyarrow as pa

from shared.jobs.errors import ColumnsDoNotFit
from shared.jobs.job import FileFormat
from workers.jobs.csv_text import COMMA, can_be_text, csv_lines, header_line
from workers.jobs.json_objects import can_be_json, object_heads
from workers.jobs.outputs import JsonLinesOutput, LinesOutput, Output


def check_carried(fields: list[pa.Field], counts: Counter[str], output: FileFormat) -> None:
    """Let through columns that the output can hold.

    Args:
        counts: how many columns of the file have each name.

    Raises:
        ColumnsDoNotFit: it cannot hold one of them.
    """
    can_hold, format_name = (can_be_text, "CSV") if output is FileFormat.CSV else (can_be_json, "JSON")
    for field in fields:
        if counts[field.name] > 1:
            raise ColumnsDoNotFit(f"the file has more than one column {field.name!r}", column=field.name)
        if not can_hold(field.type):
            raise ColumnsDoNotFit(
                f"the column {field.name!r} has the type {field.type}, which {format_name} cannot hold:"
                " leave it out of `include`, or ask for Parquet",
                column=field.name,
            )


def carried_lines(columns: pa.RecordBatch | pa.Table, output: FileFormat) -> pa.Array:
    """What each line begins with."""
    if output is FileFormat.JSONL:
        return object_heads(columns)
    return csv_lines(columns.columns, COMMA)


def lines_output(output: FileFormat, names: list[str], predictions: pa.Schema) -> Output:
    """How lines are put together. Args: names: of the carried columns."""
    if output is FileFormat.JSONL:
        return JsonLinesOutput(predictions)
    return LinesOutput(header_line(names, COMMA) if names else None, predictions, COMMA)
