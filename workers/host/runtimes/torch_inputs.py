"""What PyTorch programs take, as far as they say."""

import json
from typing import Any

import msgspec
import numpy as np

from workers.host.rejection import Rejected
from workers.host.runtimes.tensors import Batch, TensorInput, batch_of

_TENSOR = "Tensor"


class ExportedInputs(msgspec.Struct, frozen=True, kw_only=True):
    """How an exported program is called.

    Attributes:
        order: names of all its arguments: the first `positional` so, the others by `keywords`.
        constants: of arguments that were fixed when it was exported.
    """

    tensors: list[TensorInput]
    order: list[str]
    positional: int
    keywords: list[str]
    constants: dict[str, Any]


class ScriptInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input as `modelyard.json` in a TorchScript archive tells it."""

    shape: list[int]
    dtype: str = "float32"


class ScriptSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of that file: the inputs by name, in the order of forward's arguments."""

    inputs: dict[str, ScriptInput]


def exported_inputs(program: Any) -> tuple[ExportedInputs, Batch, list[str]]:
    """What an ExportedProgram takes, how many rows at a time, and what its owner should know.

    Raises:
        Rejected: its arguments are not plain tensors.
    """
    given = program.graph_signature.user_inputs
    positional, keywords = _call_form(program, len(given))
    held = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    placeholders = [node.name for node in program.graph.nodes if node.op == "placeholder"][-len(given) :]
    names = [one if isinstance(one, str) else placeholders[at] for at, one in enumerate(given)]
    values = {name: held[name] for name in names if hasattr(held.get(name), "shape")}
    if not values:
        raise _unfit("takes no tensor")
    firsts = [_fixed(value.shape[0]) if len(value.shape) else 1 for value in values.values()]
    batch = batch_of(firsts, _answered(program), most=_most_rows(program, values))
    inputs = ExportedInputs(
        tensors=_tensors(program, values, alone=batch.alone),
        order=names,
        positional=positional,
        keywords=keywords,
        constants={name: given[at] for at, name in enumerate(names) if name not in values},
    )
    return inputs, batch, _warnings(values)


def scripted_inputs(module: Any, extra: str | bytes) -> tuple[list[TensorInput], Batch]:
    """What a TorchScript module takes: by its forward's schema, and by the file in it if there is one.

    Raises:
        Rejected: forward takes other things than tensors.
    """
    needed = [
        argument for argument in module.forward.schema.arguments[1:] if not argument.has_default_value()
    ]
    other = next((argument for argument in needed if str(argument.type) != _TENSOR), None)
    if other is not None:
        raise _unfit(f"takes {other.name!r}, a {other.type}")
    if not needed:
        raise _unfit("takes no tensor")
    told = _told(extra)
    if told and len(told) != len(needed):
        raise _unfit(f"takes {len(needed)} inputs where the file in it tells of {len(told)}")
    names = list(told) or [argument.name for argument in needed]
    return [_scripted(name, told.get(name)) for name in names], Batch()


def _call_form(program: Any, inputs: int) -> tuple[int, list[str]]:
    """How many arguments are given by position, and the names of the others."""
    positional, keywords = program.call_spec.in_spec.children_specs
    leaves = [*positional.children_specs, *keywords.children_specs]
    if len(leaves) != inputs or any(not leaf.is_leaf() for leaf in leaves):
        raise _unfit("takes lists or dicts of tensors")
    return len(positional.children_specs), list(keywords.context)


def _tensors(program: Any, values: dict[str, Any], *, alone: bool) -> list[TensorInput]:
    examples = _examples(program, len(program.graph_signature.user_inputs))
    order = [str(one) for one in program.graph_signature.user_inputs]
    return [
        _tensor(name, value, examples.get(order.index(name)), alone=alone) for name, value in values.items()
    ]


def _examples(program: Any, inputs: int) -> dict[int, Any]:
    """The tensors that it was exported with, by their place among the arguments."""
    if not program.example_inputs:
        return {}
    positional, keywords = program.example_inputs
    flat = [*positional, *keywords.values()]
    return (
        {at: value for at, value in enumerate(flat) if hasattr(value, "shape")} if len(flat) == inputs else {}
    )


def _tensor(name: str, value: Any, example: Any, *, alone: bool) -> TensorInput:
    dtype = str(value.dtype).removeprefix("torch.")
    shape = tuple(_hint(size) for size in (value.shape if alone else value.shape[1:]))
    row = None
    if example is not None and len(example.shape) and len(example):
        row = np.asarray(example.detach().numpy() if alone else example[0].detach().numpy())
    return TensorInput(
        name=name,
        dtype=_numpy_dtype(dtype),
        shape=shape,
        example=row if row is not None and row.shape == shape else None,
    )


def _numpy_dtype(dtype: str) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError as error:
        raise _unfit(f"takes tensors of {dtype}") from error


def _answered(program: Any) -> int | None:
    """The first dimension of the main output, where it is fixed."""
    wanted = set(program.graph_signature.user_outputs)
    output = next(node for node in program.graph.nodes if node.op == "output")
    for node in output.args[0]:
        value: Any = node.meta.get("val") if getattr(node, "name", None) in wanted else None
        if hasattr(value, "shape"):
            shape = value.shape
            return _fixed(shape[0]) if len(shape) else None
    return None


def _most_rows(program: Any, values: dict[str, Any]) -> int | None:
    limits = [_upper(program, value.shape[0]) for value in values.values() if len(value.shape)]
    return min((limit for limit in limits if limit is not None), default=None)


def _upper(program: Any, size: Any) -> int | None:
    symbol = getattr(getattr(size, "node", None), "expr", None)
    bounds = program.range_constraints.get(symbol)
    try:
        return None if bounds is None else int(bounds.upper)
    except (AttributeError, TypeError, ValueError, OverflowError):  # infinite
        return None


def _fixed(size: Any) -> int | None:
    return size if isinstance(size, int) else None


def _hint(size: Any) -> int:
    """As large as in the example that it was exported with."""
    return size if isinstance(size, int) else int(size.node.hint)


def _warnings(values: dict[str, Any]) -> list[str]:
    loose = [name for name, value in values.items() if any(_fixed(size) is None for size in value.shape[1:])]
    return [f"Rows of the input {name!r} are taken in the shape of the example only." for name in loose]


def _told(extra: str | bytes) -> dict[str, ScriptInput]:
    if not extra:
        return {}
    try:
        return msgspec.json.decode(extra, type=ScriptSignature).inputs
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        form = json.dumps({"inputs": {"x": {"shape": [4], "dtype": "float32"}}})
        raise Rejected(
            "signature_unreadable",
            f"`modelyard.json` in the file is not understood: {error}.",
            f"Write it so: {form}",
        ) from error


def _scripted(name: str, told: ScriptInput | None) -> TensorInput:
    if told is None:
        return TensorInput(name=name, dtype="float32", shape=None, certain=False)
    return TensorInput(name=name, dtype=_numpy_dtype(told.dtype), shape=tuple(told.shape))


def _unfit(how: str) -> Rejected:
    return Rejected(
        "inputs_unsupported",
        f"The program {how}.",
        "Wrap the model in a module whose forward takes tensors, each with a first dimension of rows.",
    )
