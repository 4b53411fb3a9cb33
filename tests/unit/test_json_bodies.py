"""JSON bodies of predict requests: what was compiled for a version reads them as the general way does."""

import json
import math
import struct

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.catalog.verdict import Datatype, Layout
from shared.errors import CallerError, InvalidInput, MalformedRequest
from shared.json_body import MalformedJson
from shared.predictions.body import BodyReader, asked_version
from shared.predictions.json_reader import MAX_COMPILED_COLUMNS, JsonReader
from shared.predictions.rows import InputMismatch
from tests.unit.signatures import churn, iris, signature

SETOSA = b'{"input": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}'


def outcome(read, body: bytes):
    """Everything that a caller could tell of reading a body."""
    try:
        return read(body)
    except CallerError as error:
        return type(error), str(error), getattr(error, "errors", ())


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.sampled_from([2**53 + 1, 2**63, -(2**63) - 1, 10**30, 10**400, 5.0, -0.0])
    | st.text(max_size=4)
)
FITTING = {
    Datatype.FP64: st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.none(),
    Datatype.FP32: st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers() | st.none(),
    Datatype.INT64: st.integers(-(2**63), 2**63 - 1) | st.none(),
    Datatype.BOOL: st.booleans() | st.none(),
    Datatype.BYTES: st.text(max_size=4) | st.none(),
}
NAMES = st.sampled_from(["a", "b", "c", "größe", 'with "quotes"', "", "a b", "f1", "shape"])


@st.composite
def requests(draw) -> tuple:
    """A signature, and a body that fits it, almost fits it, or is far from it."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    layout = draw(st.sampled_from(list(Layout)))
    kinds = [
        Datatype.FP64 if layout is Layout.MATRIX else draw(st.sampled_from(list(Datatype))) for _ in names
    ]
    made = signature(dict(zip(names, kinds, strict=True)), named=draw(st.booleans()), layout=layout)

    values = [FITTING[kind] | SCALARS if draw(st.integers(0, 9)) == 0 else FITTING[kind] for kind in kinds]
    by_name = st.tuples(*values).map(lambda row: dict(zip(names, row, strict=True)))
    row = by_name | st.tuples(*values).map(list)
    if draw(st.integers(0, 3)) == 0:
        odd = st.dictionaries(NAMES, SCALARS, max_size=5) | st.lists(SCALARS, max_size=5) | SCALARS
        row = row | odd
    kind = draw(st.sampled_from([by_name, st.tuples(*values).map(list), row]))
    body = draw(
        st.fixed_dictionaries({"input": kind}) | st.fixed_dictionaries({"inputs": st.lists(kind, max_size=4)})
    )
    body |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "version": st.integers(0, 3) | st.none(),
                "outputs": st.lists(st.sampled_from(["label", "probabilities"]), max_size=2)
                | st.just(["other"]),
                "key": st.text(max_size=3) | st.just("k" * 257),
            },
        )
    )
    if draw(st.integers(0, 9)) == 0:
        body |= draw(st.dictionaries(st.sampled_from(["input", "inputs", "other"]), SCALARS, max_size=1))
    return made, json.dumps(body, ensure_ascii=draw(st.booleans())).encode()


@settings(max_examples=200, deadline=None)
@given(requests())
@example((iris(), SETOSA))
@example((iris(), b'{"inputs": [{"sepal_length": 1}, [1, 2, 3, 4]]}'))
@example((iris(), b'{"inputs": [[1, 2, 3, 4], {"sepal_length": 1}]}'))
@example((iris(), b'{"inputs": [[1, 2, 3, 4], [1, 2, 3]]}'))
@example((iris(), b'{"input": [1, 2, 3, 4], "inputs": [[1, 2, 3, 4]]}'))
@example((iris(), SETOSA.replace(b"0.2", b'0.2, "petal_width": 0.3')))
@example((iris(), SETOSA.replace(b"0.2", b"1e400")))
@example((iris(), SETOSA.replace(b"0.2", b"-0")))
def test_the_compiled_way_and_the_general_way_read_every_body_alike(asked):
    made, body = asked
    reader = JsonReader(made)

    assert outcome(reader.read, body) == outcome(reader.read_generally, body)


@given(st.integers(0, len(SETOSA)), st.binary(max_size=3))
def test_a_damaged_body_is_told_alike_too(at, bytes_):
    reader = JsonReader(iris())
    body = SETOSA[:at] + bytes_ + SETOSA[at + 1 :]

    assert outcome(reader.read, body) == outcome(reader.read_generally, body)


@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b"1" * 5000, b"\xff", b'{"input": "\\ud800"}', b"null"]
)
def test_what_is_no_such_json_is_refused_and_nothing_worse(body):
    with pytest.raises((MalformedJson, InvalidInput)):
        BodyReader(iris()).read_json(body)


def test_one_row_is_packed_in_the_models_order():
    read = BodyReader(iris()).read_json(SETOSA)

    assert read.rows.body == struct.pack("<4d", 5.1, 3.5, 1.4, 0.2)
    assert (read.single, read.version, read.outputs, read.key) == (True, None, ("label",), None)


def test_options_stand_beside_the_rows():
    body = b'{"inputs": [[1, 2, 3, null]], "version": 3, "outputs": ["probabilities"], "key": "customer-7"}'

    read = BodyReader(iris()).read_json(body)

    assert math.isnan(struct.unpack("<4d", read.rows.body)[3])
    assert (read.single, read.version, read.outputs, read.key) == (False, 3, ("probabilities",), "customer-7")


def test_a_table_travels_by_column():
    body = (
        b'{"inputs": [{"plan": "gold", "age": 41, "spend": 9, "active": true},'
        b' {"plan": null, "age": null, "spend": null, "active": null}]}'
    )

    plan, age, spend, active = msgspec.msgpack.decode(BodyReader(churn()).read_json(body).rows.body)

    assert (plan, age, active) == (["gold", None], [41, None], [True, None])
    assert spend[0] == 9.0
    assert math.isnan(spend[1])


def test_a_whole_number_beyond_64_bits_is_told_with_its_column():
    body = b'{"input": {"plan": "gold", "age": 9223372036854775808, "spend": 9, "active": true}}'

    with pytest.raises(InputMismatch) as caught:
        BodyReader(churn()).read_json(body)

    assert [(e.column, e.message) for e in caught.value.errors] == [("age", "too large for INT64")]


def test_a_key_is_at_most_256_characters():
    body = msgspec.json.encode({"input": [1, 2, 3, 4], "key": "k" * 257})

    with pytest.raises(InvalidInput, match="256") as caught:
        BodyReader(iris()).read_json(body)

    assert caught.value.errors[0].pointer == "/key"


def test_outputs_are_named_a_few_times_at_most():
    body = msgspec.json.encode({"input": [1, 2, 3, 4], "outputs": ["label"] * 17})

    with pytest.raises(InvalidInput, match="16"):
        BodyReader(iris()).read_json(body)


@pytest.mark.parametrize("body", [b"{}", b'{"version": 1}', b'{"input": [1], "inputs": [[1]]}'])
def test_rows_are_sent_once(body):
    with pytest.raises(MalformedRequest, match="either"):
        BodyReader(iris()).read_json(body)


def test_a_model_too_wide_to_be_compiled_is_read_all_the_same():
    names = [f"x{at}" for at in range(MAX_COMPILED_COLUMNS + 1)]
    reader = BodyReader(signature(dict.fromkeys(names, Datatype.FP64)))

    read = reader.read_json(msgspec.json.encode({"input": dict.fromkeys(names, 1.5)}))

    assert read.rows.body == struct.pack("<d", 1.5) * len(names)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"version": 2, "input": {"no": "such column"}}', 2),
        (SETOSA, None),
        (b'{"version": "two"}', None),
        (b'{"version": 2, "input"', None),
        (b'{"x": ' + b"[" * 100_000, None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_the_version_asked_for_is_known_even_if_the_rows_do_not_fit(body, version):
    assert asked_version(body) == version


@pytest.mark.parametrize(
    "body", [b'{"sepal_length": 5.1}', b"[5.1, 3.5, 1.4, 0.2]", b'{"instances": [[1, 2, 3, 4]]}']
)
def test_rows_without_their_wrapping_are_told_how_to_send_them(body):
    with pytest.raises(InvalidInput, match=r'send either `\{"input": '):
        JsonReader(iris()).read(body)
