"""Columns that the folders of a Parquet file name, as Hive and Spark write them: `year=2024/month=05/…`."""

import pyarrow as pa

from shared.catalog.verdict import Datatype
from shared.jobs.folders import folder_values, is_whole_number
from shared.jobs.order import Order
from shared.number_text import is_number
from workers.jobs.columns import model_datatypes
from workers.jobs.common_columns import common_schema


def folder_columns(order: Order, own: list[str]) -> dict[str, pa.Scalar]:
    """The one value of each such column of a file, unless the file has the column itself.

    What feeds the model has a type that can; what is carried alone is text until all files are known.

    Args:
        own: names of the file's columns.
    """
    values = folder_values(order.file_name or "")
    names = [column.name for column in order.signature.inputs]
    wanted = dict(zip(names, model_datatypes(order.signature), strict=True))
    common = common_schema(order) or pa.schema([])
    columns = {}
    for name, text in values.items():
        if name not in own:
            known = common.field(name).type if name in common.names else None
            columns[name] = _scalar(text, known or _type(text, wanted.get(name)))
    return columns


def _type(text: str | None, wanted: Datatype | None) -> pa.DataType:
    if wanted in (None, Datatype.BYTES):
        return pa.string()
    if text is None:
        return pa.null()
    if is_whole_number(text):
        return pa.int64()
    return pa.float64() if is_number(text) else pa.string()


def _scalar(text: str | None, type_: pa.DataType) -> pa.Scalar:
    return pa.scalar(None, type_) if text is None else pa.scalar(text, pa.string()).cast(type_)
