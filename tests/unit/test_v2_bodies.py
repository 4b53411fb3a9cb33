"""Inference requests and answers of the Open Inference Protocol.

The binary requests are what tritonclient 2.73 writes, byte by byte.
"""

import math
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog.verdict import Datatype
from shared.errors import CallerError, InvalidInput, MalformedRequest
from shared.predictions.body import BodyReader
from shared.predictions.predict_body import V2Asked, V2Output
from shared.predictions.rows import InputMismatch
from shared.predictions.v2 import encode_answer
from shared.predictions.v2_tensors import TensorMismatch
from tests.unit.signatures import IRIS, churn, iris, signature

TWO_FLOWERS = (
    (
        b'{"id":"r1","inputs":[{"name":"input","shape":[2,4],"datatype":"FP64","parameters":{"binary_data_size":64}}],'
        b'"outputs":[{"name":"label","parameters":{"binary_data":true}},'
        b'{"name":"probabilities","parameters":{"binary_data":false}}]}'
    ),
    (
        b"ffffff\x14@\x00\x00\x00\x00\x00\x00\x0c@ffffff\xf6?\x9a\x99\x99\x99\x99\x99\xc9?"
        b"\xcd\xcc\xcc\xcc\xcc\xcc\x1a@\x00\x00\x00\x00\x00\x00\x08@\xcd\xcc\xcc\xcc\xcc\xcc\x14@ffffff\x02@"
    ),
)
ONE_FLOWER_FP32 = (
    (
        b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],'
        b'"parameters":{"binary_data_output":true}}'
    ),
    b"33\xa3@\x00\x00`@33\xb3?\xcd\xccL>",
)
ONE_FLOWER_JSON = (
    b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}],'
    b'"outputs":[{"name":"label","parameters":{"binary_data":false}}]}'
)
TWO_CUSTOMERS = (
    (
        b'{"inputs":[{"name":"plan","shape":[2,1],"datatype":"BYTES","parameters":{"binary_data_size":20}},'
        b'{"name":"age","shape":[2],"datatype":"INT64","parameters":{"binary_data_size":16}},'
        b'{"name":"spend","shape":[2],"datatype":"FP64","parameters":{"binary_data_size":16}},'
        b'{"name":"active","shape":[2],"datatype":"BOOL","parameters":{"binary_data_size":2}}],'
        b'"parameters":{"binary_data_output":true}}'
    ),
    (
        b"\x04\x00\x00\x00gold\x08\x00\x00\x00gr\xc3\xb6\xc3\x9fer"
        b")\x00\x00\x00\x00\x00\x00\x00*\x00\x00\x00\x00\x00\x00\x00"
        b'\x00\x00\x00\x00\x00\x00"@\x00\x00\x00\x00\x00\x00\xf8\x7f'
        b"\x01\x00"
    ),
)


def read_binary(reader: BodyReader, request: tuple[bytes, bytes]):
    """As it arrives: the header says where the JSON ends."""
    text, binary = request
    return reader.read(None, b"%d" % len(text), text + binary)


def test_one_tensor_holds_all_rows_in_the_models_order():
    read = read_binary(BodyReader(iris()), TWO_FLOWERS)

    assert struct.unpack("<8d", read.rows.body) == (5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3)
    assert (read.rows.rows, read.single, read.outputs) == (2, False, ("label", "probabilities"))
    assert read.v2 == V2Asked(
        "r1", (V2Output("label", "label", True), V2Output("probabilities", "probabilities", False))
    )


def test_narrow_numbers_widen_and_no_outputs_named_means_all():
    read = read_binary(BodyReader(iris()), ONE_FLOWER_FP32)

    assert struct.unpack("<4d", read.rows.body) == tuple(np.array([5.1, 3.5, 1.4, 0.2], np.float32).tolist())
    assert read.outputs == ("label", "probabilities")
    assert [output.binary for output in read.v2.outputs] == [True, True]


def test_a_tensor_a_column_is_matched_by_name():
    plan, age, spend, active = msgspec.msgpack.decode(
        read_binary(BodyReader(churn()), TWO_CUSTOMERS).rows.body
    )

    assert (plan, age, active) == (["gold", "größer"], [41, 42], [True, False])
    assert spend[0] == 9.0
    assert math.isnan(spend[1])


def test_a_body_of_json_alone_is_known_by_its_tensors():
    read = BodyReader(iris()).read(b"application/json", None, ONE_FLOWER_JSON)

    assert struct.unpack("<4d", read.rows.body) == (5.1, 3.5, 1.4, 0.2)
    assert read.v2 == V2Asked(None, (V2Output("label", "label", False),))


@pytest.mark.parametrize("named", [True, False])
def test_tensors_are_no_rows_even_of_a_model_with_as_many_inputs_as_a_tensor_has_fields(named):
    reader = BodyReader(signature(dict.fromkeys(["w", "x", "y", "z"], Datatype.FP64), named=named))

    assert reader.read_json(ONE_FLOWER_JSON).v2 is not None


def test_a_row_of_columns_that_are_called_as_a_tensors_fields_is_a_row():
    reader = BodyReader(signature(dict.fromkeys(["name", "shape", "datatype"], Datatype.FP64)))

    assert reader.read_json(b'{"inputs": [{"name": 1, "shape": 2, "datatype": 3}]}').v2 is None


def test_data_may_be_nested_as_the_shape_is():
    body = b'{"inputs":[{"name":"x","shape":[2,4],"datatype":"INT32","data":[[1,2,3,4],[5,6,7,8]]}]}'

    read = BodyReader(iris()).read_json(body)

    assert struct.unpack("<8d", read.rows.body) == (1, 2, 3, 4, 5, 6, 7, 8)


def test_other_servers_names_of_the_outputs_are_known_and_echoed():
    body = ONE_FLOWER_JSON.replace(b'"label"', b'"predict"')

    read = BodyReader(iris()).read_json(body)

    assert read.outputs == ("label",)
    assert read.v2.outputs == (V2Output("predict", "label", False),)


def test_the_path_or_our_field_says_the_version():
    body = ONE_FLOWER_JSON[:-1] + b',"version":2,"parameters":{"key":"customer-7"}}'

    reader = BodyReader(iris())

    assert (reader.read_json(body).version, reader.read_json(body).key) == (2, "customer-7")
    assert reader.read_v2(body, None, version=3).version == 3


def tensor(**changes) -> bytes:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]} | changes
    return msgspec.json.encode({"inputs": [{k: v for k, v in tensor.items() if v is not None}]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [2, 4]}, "it has 4 elements, and the shape [2, 4]"),
        (
            {"shape": [1, 3], "data": [1, 2, 3]},
            "its shape is [1, 3]; one column has [rows] or [rows, 1], or [rows, 4]",
        ),
        ({"shape": [1, 2, 2]}, "it has 3 dimensions"),
        ({"shape": []}, "it has 0 dimensions"),
        ({"datatype": "BF16"}, "the datatype 'BF16' is none of"),
        ({"data": None}, "it has neither"),
        ({"data": [[1, 2], 3, 4]}, "partly nested"),
    ],
)
def test_a_tensor_that_does_not_fit_is_told_by_name(changes, message):
    with pytest.raises(TensorMismatch) as caught:
        BodyReader(iris()).read_json(tensor(**changes))

    assert caught.value.errors[0].column == "x"
    assert message in caught.value.errors[0].message


@pytest.mark.parametrize(
    ("text", "binary", "message"),
    [
        (TWO_FLOWERS[0], TWO_FLOWERS[1][:-1], "announce 64 bytes of binary data, and 63 follow"),
        (TWO_FLOWERS[0], TWO_FLOWERS[1] + b"x", "65 follow"),
        (TWO_FLOWERS[0].replace(b"64}", b"63}"), TWO_FLOWERS[1][:-1], "63 bytes are no whole number of FP64"),
        (TWO_FLOWERS[0].replace(b"[2,4]", b"[3,4]"), TWO_FLOWERS[1], "8 elements"),
        (TWO_CUSTOMERS[0], b"\xff" + TWO_CUSTOMERS[1][1:], "a text is longer than the data"),
        (TWO_CUSTOMERS[0], TWO_CUSTOMERS[1].replace(b"gold", b"\xff\xff\xff\xff"), "not UTF-8"),
    ],
)
def test_binary_data_that_contradict_their_tensors_are_refused(text, binary, message):
    reader = BodyReader(iris() if text.startswith(TWO_FLOWERS[0][:12]) else churn())

    with pytest.raises(TensorMismatch, match=message):
        read_binary(reader, (text, binary))


@pytest.mark.parametrize("header", [b"", b"-1", b"ten", b"9" * 30, b"100000", "٣".encode()])
def test_a_header_length_that_cannot_be_is_refused(header):
    with pytest.raises(MalformedRequest):
        BodyReader(iris()).read(None, header, ONE_FLOWER_JSON)


def test_columns_fit_by_the_same_rules_as_rows_do():
    columns = {name: {"name": name, "shape": [2], "datatype": "FP64", "data": [1.5, 2.5]} for name in IRIS}
    wrong = columns | {
        "petal_width": {"name": "petal_width", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    }
    reader = BodyReader(iris())

    with pytest.raises(InputMismatch) as missing:
        reader.read_json(msgspec.json.encode({"inputs": [columns[name] for name in IRIS[:3]]}))
    with pytest.raises(InputMismatch) as text:
        reader.read_json(msgspec.json.encode({"inputs": list(wrong.values())}))

    assert [(e.column, e.message) for e in missing.value.errors] == [("petal_width", "missing")]
    assert (text.value.errors[1].column, text.value.errors[1].row) == ("petal_width", 1)


@pytest.mark.parametrize(
    "output", [{"name": "other"}, {"name": "label", "parameters": {"classification": 3}}]
)
def test_outputs_that_are_not_offered_are_refused(output):
    body = msgspec.json.decode(ONE_FLOWER_JSON) | {"outputs": [output]}

    with pytest.raises(InvalidInput, match=r"label|classification"):
        BodyReader(iris()).read_json(msgspec.json.encode(body))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([TWO_FLOWERS, ONE_FLOWER_FP32, TWO_CUSTOMERS]),
    st.integers(0, 500),
    st.binary(min_size=1, max_size=4),
    st.integers(-3, 3),
)
def test_a_damaged_request_is_refused_or_read_and_nothing_worse(sent, at, lie, shift):
    text, binary = sent
    body = bytearray(text + binary)
    start = at % len(body)
    body[start : start + len(lie)] = lie

    try:
        read = BodyReader(churn() if sent is TWO_CUSTOMERS else iris()).read(
            None, b"%d" % (len(text) + shift), bytes(body)
        )
    except CallerError:
        return
    assert read.rows.rows > 0


OUTPUTS = {"label": ["setosa", "größer"], "probabilities": [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]}


def answer(*outputs: V2Output, id_: str | None = None, warnings: tuple[str, ...] = ()):
    return encode_answer(
        OUTPUTS, V2Asked(id_, outputs), signature=iris(), model="iris", version=3, warnings=warnings
    )


def test_an_answer_in_json_has_its_elements_row_by_row():
    answered = answer(
        V2Output("predict", "label", False),
        V2Output("probabilities", "probabilities", False),
        id_="r1",
        warnings=("one", "two"),
    )

    assert (answered.header_bytes, answered.content_type) == (None, b"application/json")
    assert msgspec.json.decode(answered.body) == {
        "model_name": "iris",
        "model_version": "3",
        "id": "r1",
        "parameters": {"warnings": "one; two"},
        "outputs": [
            {"name": "predict", "datatype": "BYTES", "shape": [2], "data": ["setosa", "größer"]},
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [2, 3],
                "data": [0.5, 0.25, 0.25, 0.0, 0.0, 1.0],
            },
        ],
    }


def test_an_answer_in_binary_has_its_tensors_behind_the_json():
    answered = answer(V2Output("label", "label", True), V2Output("probabilities", "probabilities", True))

    header = msgspec.json.decode(answered.body[: answered.header_bytes])
    binary = answered.body[answered.header_bytes :]
    label, probabilities = header["outputs"]
    assert label["parameters"] == {"binary_data_size": 22}
    assert probabilities["parameters"] == {"binary_data_size": 48}
    assert binary[:22] == b"\x06\x00\x00\x00setosa\x08\x00\x00\x00" + "größer".encode()
    np.testing.assert_array_equal(np.frombuffer(binary[22:], "<f8"), [0.5, 0.25, 0.25, 0, 0, 1])
    assert answered.content_type == b"application/octet-stream"
