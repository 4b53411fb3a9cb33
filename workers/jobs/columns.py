"""Which columns of a file feed the model, which go into the output, and what predictions are called."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from shared.catalog.verdict import Datatype, Layout, Signature
from shared.jobs.errors import ColumnsDoNotFit
from shared.jobs.order import Order
from shared.predictions.values import travels_as
from workers.jobs.common_columns import common_schema
from workers.jobs.prediction_schema import prediction_schema

_SHOWN = 10  # names in one message


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """How the columns of one file are used.

    Attributes:
        names: all columns of the file.
        fed: for each of the model's inputs, in its order, the position of the column that feeds it.
        carried: positions of the columns that go into the output, in the order of the file, or of the first
            of several files.
        predictions: the columns that the output has beside them.
    """

    names: list[str]
    fed: list[int]
    carried: list[int]
    predictions: pa.Schema

    @property
    def carries_all(self) -> bool:
        """Whether the output has every column of the input, in its order."""
        return self.carried == list(range(len(self.names)))


def use_columns(order: Order, names: Sequence[str]) -> Columns:
    """Match the columns of a file with what the model takes and what the caller wants.

    Raises:
        ColumnsDoNotFit: columns are missing, or a name stands for several.
    """
    common = common_schema(order)
    carried = (
        _carried(order.output_columns, names)
        if common is None
        else [list(names).index(name) for name in common.names]
    )
    fed = _fed(order.signature, names)
    if order.refuse_extra:
        _refuse_extra({names[at] for at in fed} | set(order.output_columns or ()), names)
    return Columns(
        names=list(names),
        fed=fed,
        carried=carried,
        predictions=prediction_schema(order, {names[at] for at in carried}),
    )


def takes_matrix(signature: Signature) -> bool:
    """Whether the model's rows can be handed over as one array of floats, which is much the fastest."""
    if signature.layout is Layout.TENSORS:
        return False
    return signature.layout is Layout.MATRIX or all(
        column.datatype is Datatype.FP64 for column in signature.inputs
    )


def model_datatypes(signature: Signature) -> list[Datatype]:
    """The datatypes in which the model's inputs are handed over."""
    return [travels_as(column, signature.layout) for column in signature.inputs]


def _fed(signature: Signature, names: Sequence[str]) -> list[int]:
    wanted = [column.name for column in signature.inputs]
    if not signature.named and not set(wanted) <= set(names):
        return _fed_in_order(len(wanted), names)
    places = {name: at for at, name in reversed(list(enumerate(names)))}
    missing = [name for name in wanted if name not in places]
    if missing:
        raise ColumnsDoNotFit(
            f"the file lacks {listed(missing)}, which the model takes; it has {listed(list(names))}",
            column=missing[0],
        )
    _refuse_ambiguous(wanted, names)
    return [places[name] for name in wanted]


def _fed_in_order(width: int, names: Sequence[str]) -> list[int]:
    """The model was trained without names: the columns count by their order."""
    if len(names) != width:
        raise ColumnsDoNotFit(
            f"the model takes {width} columns in the order it was trained on, without names;"
            f" the file has {len(names)}: {listed(list(names))}"
        )
    return list(range(width))


def _carried(wanted: Sequence[str] | None, names: Sequence[str]) -> list[int]:
    if wanted is None:
        return list(range(len(names)))
    known, kept = set(names), set(wanted)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ColumnsDoNotFit(
            f"`include` names {listed(missing)}; the file has {listed(list(names))}", column=missing[0]
        )
    return [at for at, name in enumerate(names) if name in kept]


def _refuse_ambiguous(wanted: Sequence[str], names: Sequence[str]) -> None:
    counts = Counter(names)
    several = [name for name in wanted if counts[name] > 1]
    if several:
        raise ColumnsDoNotFit(f"the file has more than one column {several[0]!r}", column=several[0])


def _refuse_extra(used: set[str], names: Sequence[str]) -> None:
    extra = [name for name in names if name not in used]
    if extra:
        raise ColumnsDoNotFit(
            f"the model is set to refuse columns that it does not take: {listed(extra)};"
            " drop them, or name in `include` what is to be carried into the output",
            column=extra[0],
        )


def listed(names: list[str]) -> str:
    """Names for a message, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
