"""Reads LightGBM's text, and sees that it is whole: the library itself ends its process where it is not."""

import re
from typing import Any

import msgspec

from workers.host.artifact import Artifact
from workers.host.rejection import Rejected, truncated

_BEGINNING = re.compile(rb"tree\nversion=v\d")
_FIRST_TREE = b"\nTree=0\n"
_END = b"\nend of trees\n"
_OLD_END = b"\nfeature importances:"  # before version 3 of the format
_NUMERIC = re.compile(r"\[.*\]|none")
_SAVE_AGAIN = "Save it with `booster.save_model('model.txt')` and upload that file."


class LightgbmText(msgspec.Struct, frozen=True, kw_only=True):
    """What the text says of the model.

    Attributes:
        objective: its name, without its parameters; None where it was the user's own.
        categorical: the numbers of the columns that hold categories.
        categories: the values of those that were categories in a DataFrame, in the order of its columns.
    """

    text: str
    objective: str | None
    classes: int
    names: list[str]
    categorical: list[int]
    categories: list[list[Any]]

    @property
    def feature_names(self) -> list[str] | None:
        """The columns' names, unless LightGBM made them up."""
        return None if self.names == [f"Column_{at}" for at in range(len(self.names))] else self.names


def is_lightgbm(artifact: Artifact) -> bool:
    """Whether it begins like one."""
    return bool(_BEGINNING.match(artifact.head))


def read_text(content: bytes) -> LightgbmText:
    """Read the header and the end, and measure the trees between.

    Raises:
        Rejected: it breaks off, or is no model that could be read.
    """
    if _END not in content and _OLD_END not in content:
        raise truncated()
    header = _header(content)
    _measure_trees(content, header)
    try:
        return LightgbmText(
            text=content.decode(),
            objective=header["objective"].split(" ")[0] if header.get("objective") else None,
            classes=int(header["num_class"]),
            names=header["feature_names"].split(" "),
            categorical=_categorical(content, header["feature_infos"].split(" ")),
            categories=_categories(content),
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise _damaged("its header") from error


def _header(content: bytes) -> dict[str, str]:
    lines = (
        content[: max(content.find(_FIRST_TREE), content.find(b"\n\n"))].decode(errors="replace").split("\n")
    )
    return {name: value for name, found, value in (line.partition("=") for line in lines) if found}


def _measure_trees(content: bytes, header: dict[str, str]) -> None:
    """The header says how many bytes each tree takes."""
    sizes = header.get("tree_sizes", "").split()
    at = content.find(_FIRST_TREE) + 1
    for number, size in enumerate(sizes):
        if not size.isdigit() or not content.startswith(f"Tree={number}\n".encode(), at):
            raise _damaged(f"its tree {number}")
        at += int(size)
    if sizes and _END in content and not content.startswith(_END.strip(), at):
        raise _damaged("what follows its trees")


def _categorical(content: bytes, infos: list[str]) -> list[int]:
    """As the parameters name them; where they do not, the columns whose values are listed."""
    found = re.search(rb"\n\[categorical_feature: ([\d,]+)\]\n", _ending(content))
    if found:
        return sorted({int(number) for number in found[1].decode().split(",")})
    return [at for at, info in enumerate(infos) if not _NUMERIC.fullmatch(info)]


def _categories(content: bytes) -> list[list[Any]]:
    _, found, line = _ending(content).rpartition(b"\npandas_categorical:")
    if not found:
        return []
    return msgspec.json.decode(line, type=list[list[Any]] | None) or []


def _ending(content: bytes) -> bytes:
    """What follows the trees."""
    return content[max(content.rfind(_END), content.rfind(_OLD_END)) :]


def _damaged(part: str) -> Rejected:
    return Rejected("load_failed", f"The file was changed or damaged: {part} cannot be read.", _SAVE_AGAIN)
