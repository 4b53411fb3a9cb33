"""Which Python compiled a function, as cloudpickle keeps it: told by the form of its code object.

Source: Python's Include/opcode_ids.h and the arguments of `types.CodeType`, release by release.
"""

from typing import Any

_ARGUMENTS = {
    15: "3.7",
    16: "3.8 to 3.10",
    18: "3.11",
}  # 3.8 added positional-only arguments, 3.11 three more
_SINCE_3_11 = 18
_CODE_AT = 6
_RESUME_3_11, _RESUME_3_13, _RESUME_3_14 = 151, 149, 128
_CALL_3_11, _PRECALL_3_11, _RETURN_CONST_3_12 = 171, 166, 121  # 3.12 dropped the one before each call
_EITHER = "3.11 or 3.12"


def python_of(arguments: tuple[Any, ...]) -> str | None:
    """The release, or the releases, that a code object fits; None where it fits none."""
    if len(arguments) != _SINCE_3_11:
        return _ARGUMENTS.get(len(arguments))
    code = arguments[_CODE_AT]
    if type(code) is not bytes:
        return None
    opcodes = set(code[::2])  # each is followed by its argument
    if _RESUME_3_11 not in opcodes:
        return "3.13" if _RESUME_3_13 in opcodes else "3.14" if _RESUME_3_14 in opcodes else None
    if _PRECALL_3_11 in opcodes:
        return "3.11"
    return "3.12" if opcodes & {_CALL_3_11, _RETURN_CONST_3_12} else _EITHER


def closer(one: str | None, other: str | None) -> str | None:
    """The one of two findings that says more: functions in one file were compiled by one Python."""
    return one if one and (other is None or one != _EITHER) else other
