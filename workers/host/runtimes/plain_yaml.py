"""Reads the YAML that programs write in block style: maps, lists, scalars, quoted or not, over several lines.

What people like to write beside that (anchors, tags, flow style, block texts) is refused, so that reading it
takes no library and nothing but the bytes.
"""

import re
from typing import Any

_MOST_DEPTH = 32
_KEY = re.compile(
    r"""('(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\s'"\[\]{}&*!|>%@`#?-][^\n]*?|-[^\s][^\n]*?):(?:[ \n]|$)"""
)
_CLOSED = {
    "'": re.compile(r"'(?:[^']|'')*'(?!')\s*", re.DOTALL),  # two of them are one, and no end
    '"': re.compile(r'"(?:[^"\\]|\\.)*"\s*', re.DOTALL),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    "": None, "null": None, "~": None, "true": True, "false": False, "{}": {}, "[]": [],
    ".nan": float("nan"), ".inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_FOREIGN = ("&", "*", "!", "|", ">", "%", "@", "`", "{", "[", "? ")


class NotPlainYaml(ValueError):
    """It is not YAML, or more than is read here."""


Line = tuple[int, str]  # how far it is indented, and what it says; a quoted text's line goes on to its end


def read_yaml(text: str) -> Any:
    """The document.

    Raises:
        NotPlainYaml: it is not YAML, or more than is read here.
    """
    lines = _logical(text.split("\n"))
    if not lines:
        return None
    value, at = _value(lines, 0, lines[0][0], 0)
    if at < len(lines):
        raise NotPlainYaml(f"not understood: {lines[at][1][:40]!r}")
    return value


def _logical(physical: list[str]) -> list[Line]:
    lines: list[Line] = []
    at = 0
    while at < len(physical):
        text = physical[at].strip(" ")
        if not text or text.startswith("#") or physical[at].startswith(("---", "...")):
            at += 1
            continue
        indent = len(physical[at]) - len(physical[at].lstrip(" "))
        while (quote := _open_quote(text)) is not None:
            at += 1
            if at == len(physical):
                raise NotPlainYaml(f"a text in {quote} does not end")
            text += "\n" + physical[at].strip(" ")
        lines.append((indent, text))
        at += 1
    return lines


def _open_quote(text: str) -> str | None:
    """The quotation mark of a value that has not ended yet."""
    value = text
    while value.startswith("- "):
        value = value[2:].lstrip(" ")
    if key := _KEY.match(value):
        value = value[key.end() :].lstrip(" ")
    if value[:1] not in _CLOSED:
        return None
    closed = _CLOSED[value[0]].match(value)
    return None if closed else value[0]


def _value(lines: list[Line], at: int, indent: int, depth: int) -> tuple[Any, int]:
    """The block that begins at a line, and the line after it."""
    if depth > _MOST_DEPTH:
        raise NotPlainYaml("too deep")
    text = lines[at][1]
    if text == "-" or text.startswith("- "):
        return _list(lines, at, indent, depth)
    if _KEY.match(text):
        return _map(lines, at, indent, depth)
    return _scalar_block(lines, at, text, indent - 1)


def _list(lines: list[Line], at: int, indent: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while (
        at < len(lines) and lines[at][0] == indent and (lines[at][1] == "-" or lines[at][1].startswith("- "))
    ):
        inner = lines[at][1][1:].lstrip(" ")
        if not inner:
            value, at = _below(lines, at, indent + 1, depth)
        else:
            shift = indent + len(lines[at][1]) - len(inner)
            if _is_block(inner):
                lines[at] = (shift, inner)
                value, at = _value(lines, at, shift, depth + 1)
            else:
                value, at = _scalar_block(lines, at, inner, indent)
        items.append(value)
    return items, at


def _map(lines: list[Line], at: int, indent: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent:
        text = lines[at][1]
        key = _KEY.match(text)
        if key is None or text.startswith("- "):
            break
        rest = text[key.end() :].lstrip(" \n")
        if rest:
            value, at = _scalar_block(lines, at, rest, indent)
        else:
            value, at = _below(lines, at, indent, depth)
        found[str(_scalar(key[1]))] = value
    return found, at


def _below(lines: list[Line], at: int, indent: int, depth: int) -> tuple[Any, int]:
    """What a key without a value stands for: the block under it; lists may begin at its own indent."""
    at += 1
    if at == len(lines):
        return None, at
    inner, text = lines[at]
    if inner > indent or (inner == indent and (text == "-" or text.startswith("- "))):
        return _value(lines, at, inner, depth + 1)
    return None, at


def _is_block(text: str) -> bool:
    return text == "-" or text.startswith("- ") or _KEY.match(text) is not None


def _scalar_block(lines: list[Line], at: int, text: str, indent: int) -> tuple[Any, int]:
    """A scalar with the lines that go on with it: those further in than what it belongs to."""
    at += 1
    quoted = text[:1] in _CLOSED
    while at < len(lines) and lines[at][0] > indent and not quoted:
        text += " " + lines[at][1]
        at += 1
    return _scalar(text), at


def _scalar(text: str) -> Any:
    text = text.strip(" ")
    if text[:1] == "'":
        return _folded(text[1:-1]).replace("''", "'")
    if text[:1] == '"':
        return _ESCAPE.sub(_unescaped, _folded(text[1:-1]))
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith(_FOREIGN):
        raise NotPlainYaml(f"not understood: {text[:40]!r}")
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _folded(text: str) -> str:
    """A break is a space, an empty line a break; a break behind a backslash is nothing."""
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\\n", r"\1", text)
    return re.sub(r"\n+", lambda breaks: "\n" * (len(breaks[0]) - 1) or " ", text)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code:
        return chr(int(code, 16))
    if escape[4] not in _ESCAPES:
        raise NotPlainYaml(f"not understood: \\{escape[4]}")
    return _ESCAPES[escape[4]]
