"""Writes a seccomp filter: which system calls pass, and what becomes of the others.

Classic BPF over `struct seccomp_data`: number, architecture, instruction pointer, six arguments of
64 bits. See seccomp(2) and linux/filter.h.
"""

import struct
from collections.abc import Sequence

import msgspec

_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x4000_0000  # numbers from here on are a second set of calls of x86-64

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000  # the whole process, by SIGSYS
_ERRNO = 0x0005_0000


class Test(msgspec.Struct, frozen=True):
    """Whether an argument, under a mask, is one of some values.

    Attributes:
        wide: the argument is a pointer or long: its upper half must be zero. The kernel itself looks at
            no more than the lower half of all others.
    """

    argument: int
    mask: int
    values: tuple[int, ...]
    wide: bool = False


class Rule(msgspec.Struct, frozen=True):
    """What becomes of the calls with this number.

    Attributes:
        tests: all must hold for the call to pass; without any it passes.
        otherwise: the action where one does not hold, or `passes` is False.
    """

    number: int
    tests: tuple[Test, ...] = ()
    otherwise: int = KILL
    passes: bool = True


def errno(number: int) -> int:
    """The action by which a call fails with this error."""
    return _ERRNO | number


def program(architecture: int, rules: Sequence[Rule], *, default: int) -> bytes:
    """The filter, as an array of `struct sock_filter`. Rules are tried in their order."""
    steps = [
        _step(_LOAD_WORD, _ARCHITECTURE_AT),
        _step(_IF_EQUAL, architecture, yes=1),
        _step(_RETURN, KILL),
        _step(_LOAD_WORD, _NUMBER_AT),
        _step(_IF_AT_LEAST, _X32, no=1),
        _step(_RETURN, KILL),
    ]
    for rule in rules:
        body = _body(rule)
        steps += [_step(_IF_EQUAL, rule.number, no=len(body)), *body]
    return b"".join([*steps, _step(_RETURN, default)])


def _body(rule: Rule) -> list[bytes]:
    tests = [step for test in rule.tests for step in _test(test, rule.otherwise)]
    return [*tests, _step(_RETURN, ALLOW if rule.passes else rule.otherwise)]


def _test(test: Test, otherwise: int) -> list[bytes]:
    """Steps that go on where the test holds, and return the action where it does not."""
    low = _ARGUMENTS_AT + 8 * test.argument
    steps = [_step(_LOAD_WORD, low), _step(_AND, test.mask)]
    last = len(test.values) - 1
    steps += [_step(_IF_EQUAL, value, yes=last - at + 1) for at, value in enumerate(test.values)]
    steps.append(_step(_RETURN, otherwise))
    if test.wide:
        steps += [_step(_LOAD_WORD, low + 4), _step(_IF_EQUAL, 0, yes=1), _step(_RETURN, otherwise)]
    return steps


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)
