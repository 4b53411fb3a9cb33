"""Pickles written by hand, read against what the standard library's `pickletools` finds in them."""

import io
import os
import pickle
import pickletools
import subprocess
from collections import Counter

import pytest

from workers.host.reading.arrays import array_bytes
from workers.host.reading.pickle_reading import PickleReading, read_pickle
from workers.host.reading.placeholders import Dtype, JoblibArray
from workers.host.rejection import Rejected

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}


def read(content: bytes, *, joblib: bool = False) -> PickleReading:
    return read_pickle(io.BufferedReader(io.BytesIO(content)), joblib=joblib, size_bytes=len(content))


def both(content: bytes) -> PickleReading:
    """By both unpicklers, which must tell the same."""
    plain, python = read(content), read(content, joblib=True)
    assert plain == python
    return plain


def names_of(content: bytes) -> set[tuple[str, str]]:
    """What pickletools finds, where strings are pushed right before they are used as names."""
    found, strings = set(), []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _STRINGS:
            strings.append(argument)
        elif opcode.name in ("GLOBAL", "INST"):
            found.add(tuple(argument.split(" ")))
        elif opcode.name == "STACK_GLOBAL":
            found.add(tuple(strings[-2:]))
    return found


def refusal(content: bytes, *, joblib: bool = False) -> str:
    with pytest.raises(Rejected) as caught:
        read(content, joblib=joblib)
    return caught.value.reason.code


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"\x8c" + bytes([len(encoded)]) + encoded


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_are_those_that_the_standard_library_finds(protocol):
    content = pickle.dumps([Counter("abc"), Runs(), subprocess.Popen, {1: int}], protocol)

    assert both(content).names == names_of(content)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run_or_imported(protocol, tmp_path):
    mark = tmp_path / "it_ran"

    class Touches:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    content = pickle.dumps([Touches()], protocol) + b"\x80\x04cantigravity\nfly\n."

    reading = both(content)

    assert not mark.exists()
    assert ("antigravity", "fly") in reading.names


def test_a_name_out_of_the_memo_is_found():
    content = b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x9400h\x00h\x01\x93."

    assert pickletools.dis(content, out=io.StringIO()) is None
    assert both(content).names == {("os", "system")}


def test_a_name_that_is_computed_is_refused():
    content = b"\x80\x04" + stack_global("builtins", "str") + text("x") + b"\x85R" + text("system") + b"\x93."

    assert {refusal(content), refusal(content, joblib=True)} <= {"load_failed", "pickle_unclear"}


def test_pickles_behind_the_first_are_read_too():
    content = pickle.dumps({"harmless": 1}) + pickle.dumps(Runs())

    reading = both(content)

    assert reading.pickles == 2
    assert ("posix", "system") in reading.names


def test_what_follows_and_is_no_pickle_is_told():
    assert both(pickle.dumps(1) + b"\x00 rest").trailing
    assert not both(pickle.dumps(1)).trailing


@pytest.mark.parametrize("code", [b"\x82\x05", b"\x83\x05\x00", b"\x84\x05\x00\x00\x00"])
def test_extension_numbers_are_refused(code):
    content = b"\x80\x02" + code + b"."

    assert refusal(content) in ("load_failed", "pickle_unclear")
    assert refusal(content, joblib=True) == "pickle_unclear"


def test_persistent_ids_are_refused_unless_the_format_has_them():
    content = b"\x80\x02X\x04\x00\x00\x00pathQ."

    assert {refusal(content), refusal(content, joblib=True)} == {"pickle_unclear"}
    file = io.BufferedReader(io.BytesIO(content))
    assert read_pickle(file, joblib=False, size_bytes=20, persistent_ids=True).pickles == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95" + (1 << 62).to_bytes(8, "little") + b"N.",  # a frame
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"x.",  # bytes
        b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"x.",  # text
        b"\x80\x05\x96" + (1 << 62).to_bytes(8, "little") + b"x.",  # a bytearray
        b"\x80\x02B\xff\xff\xff\x7fx.",
    ],
)
def test_absurd_lengths_are_refused_at_once(content):
    assert refusal(content) in ("truncated_file", "claims_too_much", "load_failed")
    assert refusal(content, joblib=True) in ("truncated_file", "claims_too_much", "load_failed")


def test_an_absurd_place_in_the_memo_takes_no_memory():
    content = b"\x80\x02Nr\xff\xff\xff\x7f."

    assert refusal(content) == "claims_too_much"
    assert read(content, joblib=True).names == set()


def test_a_pickle_nested_a_million_deep_is_read():
    content = b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b"."

    assert read(content).names == set()


@pytest.mark.parametrize("content", [b"\x80\x04R.", b"\x80\x04N)R.", b"\x80\x04", b"\xff", b"\x80\x04."])
def test_nonsense_is_refused_in_words(content):
    assert refusal(content) in ("truncated_file", "load_failed", "pickle_unclear")
    assert refusal(content, joblib=True) in ("truncated_file", "load_failed", "pickle_unclear")


def test_the_method_that_getattr_gets_is_named():
    reading = both(pickle.dumps(str.lower))

    told = {(each.module, each.name): each.standing for each in reading.imports}
    assert told["builtins", "str.lower"] == "unknown"
    assert told["builtins", "getattr"] == "unknown"


def test_getattr_on_what_is_computed_is_dangerous():
    getattr_of_none = b"\x80\x04" + stack_global("builtins", "getattr") + b"N" + text("x") + b"\x86R."
    never_called = b"\x80\x04" + stack_global("builtins", "getattr") + b"."

    assert both(getattr_of_none).imports[0].standing == "dangerous"
    assert both(never_called).imports[0].standing == "dangerous"


@pytest.mark.parametrize(
    "state",
    [(3, "<", None, None, None, -1, -1, 63), (3, "<", None, None, None, -1, -1, 1)],
)
def test_numbers_that_say_that_they_are_objects_are_refused(state):
    """NumPy would believe it, and joblib take what follows for one more pickle."""
    with pytest.raises(Rejected) as refused:
        array_bytes(placeholder("f8", state))

    assert refused.value.reason.code == "pickle_unclear"


def test_only_text_and_records_tell_their_own_length():
    lengths = (3, "<", None, None, None, 1000, 1, 0)

    assert array_bytes(placeholder("f8", lengths)).size == 3 * 8
    assert array_bytes(placeholder("c16", lengths)).size == 3 * 16
    assert array_bytes(placeholder("S8", lengths)).size == 3 * 1000


def placeholder(code: str, state: tuple) -> JoblibArray:
    """What stands for an array of three, whose type has this state."""
    dtype, array = Dtype(code), JoblibArray()
    dtype.__setstate__(state)
    array.__setstate__({"shape": (3,), "dtype": dtype})
    return array


def test_versions_of_scikit_learn_are_read_from_states():
    state = pickle.dumps({"_sklearn_version": "1.3.2"}, 2)[2:-1]
    content = b"\x80\x02csklearn.svm._classes\nSVC\n)\x81" + state + b"b."

    assert both(content).sklearn_versions == {"1.3.2"}


def test_more_names_than_any_model_has_are_refused():
    content = b"\x80\x02" + b"".join(f"cm{number}\nn\n0".encode() for number in range(20_001)) + b"N."

    assert refusal(content) == "pickle_unclear"
