"""The columns that all files of a job carry into its one output, and their types in it."""

from collections import Counter

import pyarrow as pa
import pyarrow.types as kinds

from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.order import Order

_SAME = "; all files of a job carry the same columns, which `include` can name"


def common_schema(order: Order) -> pa.Schema | None:
    """Of a job of several files, once it is planned."""
    return None if order.carried is None else pa.ipc.read_schema(pa.py_buffer(order.carried))


def as_common(columns: pa.RecordBatch, common: pa.Schema) -> pa.RecordBatch:
    """The columns in the types that they have in the output.

    Raises:
        UnreadableInput: a value does not fit: a whole number too large for a float, say.
    """
    each = zip(columns.columns, common, strict=True)
    return pa.record_batch([_cast(column, field) for column, field in each], schema=common)


class CommonColumns:
    """Grows by the columns of one file after the other. Their order is that of the first.

    A column is as wide as any file has it: of `int32` and `int64` the latter, of whole numbers and floats
    floats, and a dictionary is what it holds where it is none in another file.
    """

    def __init__(self, *, may_lack: bool) -> None:
        """Args: may_lack: a file need not have every column; its rows then lack the values."""
        self._may_lack = may_lack
        self._fields: dict[str, pa.Field] = {}
        self._first: str | None = None  # file; None: there was none yet

    @property
    def is_known(self) -> bool:
        """Whether there was a file."""
        return self._first is not None

    def add(self, schema: pa.Schema, *, file_name: str) -> None:
        """Take in the columns of a file.

        Raises:
            ColumnsDoNotFit: they cannot stand in one output with those of the files before.
        """
        _refuse_doubled(schema)
        if self._first is None:
            self._first = file_name
        elif not self._may_lack:
            self._refuse_others(schema.names, self._first)
        for field in schema:
            known = self._fields.get(field.name)
            self._fields[field.name] = self._widened(known, field) if known else _plain(field)

    def retype(self, name: str, type_: pa.DataType) -> None:
        """Give a column another type than the files have said."""
        self._fields[name] = self._fields[name].with_type(type_)

    @property
    def names(self) -> list[str]:
        """Of the columns so far."""
        return list(self._fields)

    def serialised(self) -> bytes:
        """As a schema of Arrow."""
        return bytes(pa.schema(self._fields.values()).serialize().to_pybytes())

    def _refuse_others(self, names: list[str], first: str) -> None:
        missing = [name for name in self._fields if name not in set(names)]
        if missing:
            raise ColumnsDoNotFit(
                f"the file lacks {missing[0]!r}, which {first!r} has{_SAME}", column=missing[0]
            )
        extra = [name for name in names if name not in self._fields]
        if extra:
            raise ColumnsDoNotFit(f"the file has {extra[0]!r}, which {first!r} lacks{_SAME}", column=extra[0])

    def _widened(self, known: pa.Field, field: pa.Field) -> pa.Field:
        type_ = _common_type(known.type, field.type)
        if type_ is None:
            raise ColumnsDoNotFit(
                f"the column {field.name!r} has the type {field.type}, and {known.type} in the files before:"
                " leave it out of `include`, or write it with one type",
                column=field.name,
            )
        return known.with_type(type_)


def _plain(field: pa.Field) -> pa.Field:
    return field.remove_metadata().with_nullable(True)


def _refuse_doubled(schema: pa.Schema) -> None:
    for name, count in Counter(schema.names).items():
        if count > 1:
            raise ColumnsDoNotFit(f"the file has more than one column {name!r}", column=name)


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """A type that holds the values of both; None where there is none."""
    if first == second:
        return first
    try:
        pair = [pa.schema([("column", _decoded(each))]) for each in (first, second)]
        common = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        for each in (first, second):
            pa.nulls(0, each).cast(common)
    except (pa.ArrowException, NotImplementedError):
        return None
    return common


def _decoded(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if kinds.is_dictionary(type_) else type_


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise UnreadableInput(
            f"the column {field.name!r} has the type {field.type} in another file, and a value does not fit:"
            f" {error}",
            column=field.name,
        ) from None
