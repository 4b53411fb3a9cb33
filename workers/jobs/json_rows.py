"""Lines of JSON on their way into columns as the model takes them.

Lines that fit are decoded and checked in one go by a decoder made for the signature, as online; where one of
them does not fit so closely, all of them are read anew by the rules for single values, which have the last
word and know what is wrong.
"""

import struct
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_values import ARROW_TYPES, coerced
from shared.predictions.json_reader import MAX_COMPILED_COLUMNS, decoded_type
from shared.predictions.rows import rule_of
from shared.predictions.tensors import elements, flat
from shared.predictions.values import fault_of, kind_of, travels_as

# msgspec's errors and those of Unicode and Arrow are ValueErrors.
NOT_QUITE: Final = (ValueError, TypeError, OverflowError, RecursionError, struct.error)

_decode_any: Final = msgspec.json.Decoder().decode


class JsonRows:
    """Reads lines for one signature."""

    def __init__(self, signature: Signature, names: Sequence[str], *, others: Sequence[str] | None) -> None:
        """Make a reader.

        Args:
            names: what the file calls the model's columns, in the model's order.
            others: names that lines may have beside them; None: any.
        """
        self._signature, self._names = signature, list(names)
        self._known = None if others is None else {*names, *others}
        self._rules = [rule_of(column, signature.layout) for column in signature.inputs]
        self._decode = _compile(signature, names, others)
        self._depths = [len(column.shape) for column in signature.inputs]

    def table(self, lines: Sequence[bytes]) -> pa.Table:
        """The model's columns.

        Raises:
            UnreadableInput: a line does not fit; rows are counted from the first of the lines.
        """
        try:
            rows = [astuple(self._decode(line)) for line in lines]
            return self._typed(list(islice(zip(*rows, strict=True), len(self._names))), self._depths)
        except NOT_QUITE:
            return self._read_generally(lines)

    def unfit(self, lines: Sequence[bytes]) -> dict[int, UnreadableInput]:
        """What is wrong with each line that does not fit, counted from the first of them."""
        faults = {}
        for number, line in enumerate(lines):
            try:
                self._row(line, number)
            except UnreadableInput as fault:
                faults[number] = fault
        return faults

    def _read_generally(self, lines: Sequence[bytes]) -> pa.Table:
        rows = [self._row(line, number) for number, line in enumerate(lines)]
        flattened = [1] * len(self._names)
        try:
            return self._typed(list(zip(*rows, strict=True)), flattened)
        except NOT_QUITE as error:
            raise UnreadableInput(f"the lines cannot be read: {error}", row=0) from None

    def _row(self, line: bytes, number: int) -> list[Any]:
        given = decoded_object(line, number)
        if self._known is not None:
            _refuse_unknown(given, self._known, number)
        row = []
        for name, rule in zip(self._names, self._rules, strict=True):
            if name not in given:
                raise UnreadableInput(
                    "the column is missing in this row: write null for a missing value",
                    row=number,
                    column=name,
                )
            fault = fault_of(rule, given[name])
            if fault is not None:
                raise UnreadableInput(fault, row=number, column=name)
            row.append(rule(given[name]))
        return row

    def _typed(self, columns: Sequence[Sequence[Any]], depths: Sequence[int]) -> pa.Table:
        inputs, layout = self._signature.inputs, self._signature.layout
        arrays = [
            _array_column(values, column, depth)
            if layout is Layout.TENSORS
            else _typed_array(values, travels_as(column, layout))
            for values, column, depth in zip(columns, inputs, depths, strict=True)
        ]
        return pa.table(arrays, names=[column.name for column in inputs])


def decoded_object(line: bytes, number: int) -> dict[str, Any]:
    """What a line says.

    Raises:
        UnreadableInput: it is no JSON object.
    """
    try:
        line.decode()
        given = _decode_any(line)
    except UnicodeDecodeError:
        raise UnreadableInput(
            "the line is not text in UTF-8: say in `encoding` what it is", row=number
        ) from None
    except RecursionError:
        raise UnreadableInput("the line is nested too deeply", row=number) from None
    except ValueError as error:
        raise UnreadableInput(f"the line is not JSON ({error}): write an object a line", row=number) from None
    if not isinstance(given, dict):
        raise UnreadableInput(f"expected an object with the columns, got {_described(given)}", row=number)
    return given


def _described(given: Any) -> str:
    if not isinstance(given, list):
        return kind_of(given)
    rule = "where rows come in a request, an array has one for each of the model's columns"
    return f"an array of {len(given)} values: {rule}"


def _refuse_unknown(given: dict[str, Any], known: set[str], number: int) -> None:
    for name in given:
        if name not in known:
            raise UnreadableInput(
                "the model is set to refuse columns that it does not take: drop this one, or name in"
                " `include` what is to be carried into the output",
                row=number,
                column=name,
            )


def _typed_array(values: Sequence[Any], wanted: Datatype) -> pa.Array:
    """Raises: pa.ArrowInvalid: a value is too large for 32 bits."""
    if wanted is Datatype.FP32:
        return coerced(pa.array(values, pa.float64()), wanted)
    return pa.array(values, ARROW_TYPES[wanted])


def _array_column(values: Sequence[Any], column: Column, depth: int) -> pa.Array:
    typed = _typed_array(flat(values, depth), column.datatype)
    return pa.FixedSizeListArray.from_arrays(typed, elements(column)) if column.shape else typed


def _compile(
    signature: Signature, names: Sequence[str], others: Sequence[str] | None
) -> Callable[[bytes], Any]:
    """The decoder of lines that fit; one that takes nothing where none can be made."""
    columns = [*names, *(name for name in others or () if name not in set(names))]
    if len(columns) > MAX_COMPILED_COLUMNS:
        return _take_nothing
    fields: list[Any] = [
        (f"f{at}", decoded_type(column, signature.layout)) for at, column in enumerate(signature.inputs)
    ]
    fields += [(f"f{at}", msgspec.Raw | None, None) for at in range(len(names), len(columns))]
    try:
        row = msgspec.defstruct(
            "Line",
            fields,
            rename={f"f{at}": name for at, name in enumerate(columns)},
            forbid_unknown_fields=others is not None,
            frozen=True,
            gc=False,
        )
    except ValueError:  # names that need escapes in JSON
        return _take_nothing
    return msgspec.json.Decoder(row).decode


def _take_nothing(_: bytes) -> Any:
    raise TypeError
