import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.jobs.thrift_compact import Field, Kind, ListOf, MalformedThrift, decode_struct, encode_struct


def fields(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(st.integers(1, 300), values, max_size=6)


numbers = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(
    st.booleans().map(lambda value: Field(Kind.TRUE if value else Kind.FALSE, value)),
    numbers.map(lambda value: Field(Kind.I64, value)),
    st.binary(max_size=20).map(lambda value: Field(Kind.BINARY, value)),
    st.floats(allow_nan=False).map(lambda value: Field(Kind.DOUBLE, value)),
    st.lists(numbers, max_size=20).map(lambda items: Field(Kind.LIST, ListOf(Kind.I32, items))),
    st.lists(st.booleans(), max_size=20).map(lambda items: Field(Kind.LIST, ListOf(Kind.TRUE, items))),
)
structs = st.recursive(fields(scalars), lambda inner: fields(inner.map(lambda s: Field(Kind.STRUCT, s))))


@given(structs)
def test_what_is_encoded_decodes_to_the_same(value):
    assert decode_struct(encode_struct(value)) == value


def test_the_bytes_are_those_of_the_protocol():
    """Worked by hand: the head of a field is (delta << 4 | type), numbers are zigzag varints."""
    value = {
        1: Field(Kind.I32, -1),  # 15 01
        2: Field(Kind.TRUE, True),  # 11
        20: Field(Kind.BINARY, b"ab"),  # delta of 18: 08, then zigzag 20 = 28, length 02, bytes
        21: Field(Kind.LIST, ListOf(Kind.I64, [150])),  # 19, one element of type 6: 16, zigzag 150 = ac 02
    }

    encoded = encode_struct(value)

    assert encoded == bytes.fromhex("1501 11 08 28 02 6162 19 16 ac02 00".replace(" ", ""))
    assert decode_struct(encoded) == value


@pytest.mark.parametrize("damaged", [b"", b"\x15", b"\x18\x7fab", b"\x1b\x01\x15", b"\x1c" * 5000])
def test_damaged_bytes_are_refused(damaged: bytes):
    with pytest.raises(MalformedThrift):
        decode_struct(damaged)


def test_a_number_without_an_end_is_malformed_at_once():
    endless = bytes([0x16]) + b"\xff" * 4_000_000

    with pytest.raises(MalformedThrift, match="no end"):
        decode_struct(endless)


def test_a_number_of_more_than_64_bits_is_malformed():
    with pytest.raises(MalformedThrift, match="too large"):
        decode_struct(bytes([0x16]) + b"\xff" * 9 + b"\x7f\x00")


def test_an_empty_list_may_name_no_type():
    assert decode_struct(bytes([0x19, 0x00, 0x00]))[1].value.items == []
