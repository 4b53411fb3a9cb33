"""Which outputs of a model a job writes beside the prediction. Rules without I/O."""

from collections.abc import Sequence
from typing import Final, Literal

from shared.catalog.verdict import Output, Signature
from shared.errors import FieldError
from shared.jobs.errors import InvalidOption

MOST_COLUMNS: Final = 10_000  # that further outputs may come to, as many as a main one may have
_SHOWN: Final = 50  # names in one message
_SHOWN_LENGTH: Final = 100  # of a name that there is not

Asked = Sequence[str] | Literal["all"]


def further_outputs(asked: Asked, signature: Signature) -> list[str]:
    """The outputs beside the main one, which is always written, each once and in the order asked for.

    Raises:
        InvalidOption: the model has no such output, or all of them together are too wide.
    """
    offered = {output.name: output for output in signature.outputs}
    names = list(offered if asked == "all" else dict.fromkeys(asked))
    unknown = next((name for name in names if name not in offered), None)
    if unknown is not None:
        raise _refused(f"the model has no output {unknown[:_SHOWN_LENGTH]!r}; it has {_listed([*offered])}")
    further = [name for name in names if name != signature.main.name]
    width = sum(width_of(offered[name]) for name in further)
    if width > MOST_COLUMNS:
        raise _refused(f"the outputs asked for make {width:,} columns, and may make {MOST_COLUMNS:,}")
    return further


def outputs_named(names: Sequence[str], signature: Signature) -> list[Output]:
    """What the signature says of these outputs.

    Raises:
        KeyError: it has not all of them, as it had when they were asked for.
    """
    known = {output.name: output for output in signature.outputs}
    return [known[name] for name in names]


def width_of(output: Output) -> int:
    """How many columns it makes: one for each of its numbers; arrays are lists in one."""
    return output.shape[0] if len(output.shape) == 1 else 1


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _refused(why: str) -> InvalidOption:
    return InvalidOption(why, [FieldError(message=why, pointer="/outputs")])
