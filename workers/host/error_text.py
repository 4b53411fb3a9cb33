"""Errors of models in one line for the model's owner: no path, no stack, no control characters."""

import re

_LONGEST = 500
# Two parts or more; spaces only inside, where the end of the path is plain.
_PATH = re.compile(r"(?<![\w.])(?:~|[A-Za-z]:)?(?:[/\\][\w.@+\- ]*(?=[/\\]))+[/\\][\w.@+\-]*")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def describe(error: BaseException) -> str:
    """The error's kind and its text, made fit to show."""
    if isinstance(error, MemoryError):
        return "the model ran out of memory"
    if isinstance(error, SystemExit):
        return "the model tried to end its process"
    text = shown(_text_of(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shown(text: str) -> str:
    """`text` on one line, shortened, with paths and addresses taken out."""
    text = _UNPRINTABLE.sub(" ", text[: 4 * _LONGEST])
    text = _ADDRESS.sub("", _PATH.sub("(path)", text)).strip()
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  a model's own error class may do anything, even exit
        return ""
