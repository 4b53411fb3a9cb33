"""Arrays as rows: the same to a model whatever format they come in, and told where they do not fit."""

import io
import json
import struct
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog.signature import example_request
from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.errors import TooLarge
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import FileFormat
from shared.predictions.body import BodyReader, PredictBody
from shared.predictions.cache_key import canonical
from shared.predictions.rows import InputMismatch
from shared.predictions.tensors import MAX_BYTES, join_tensors
from shared.predictions.v2_tensors import TensorMismatch
from tests.fixtures.formats import arrow_stream, job_calls, json_value
from workers.host.protocol import Predict
from workers.host.rows import RowReader

NUMPY = {Datatype.FP64: "<f8", Datatype.FP32: "<f4", Datatype.INT64: "<i8", Datatype.BOOL: "?"}
ARROW = {Datatype.FP64: pa.float64(), Datatype.FP32: pa.float32(), Datatype.INT64: pa.int64()}
ELEMENTS = {
    Datatype.FP64: st.floats(),
    Datatype.FP32: st.floats(width=32),
    Datatype.INT64: st.integers(-(2**63), 2**63 - 1),
    Datatype.BOOL: st.booleans(),
    Datatype.BYTES: st.text(st.characters(codec="utf-8"), max_size=4),
}


def arrays(inputs: dict[str, tuple[Datatype, list[int]]], **changes: Any) -> Signature:
    given = {"outputs": [Output(name="label", datatype=Datatype.INT64)]} | changes
    return Signature(
        inputs=[Column(name=name, datatype=kind, shape=shape) for name, (kind, shape) in inputs.items()],
        named=True,
        layout=Layout.TENSORS,
        **given,
    )


IMAGES = arrays({"image": (Datatype.FP32, [2, 3]), "age": (Datatype.INT64, [])})
IMAGE = [[0.0, 0.5, 1.0], [2, 3.5, None]]


def nested(flat: list[Any], shape: list[int]) -> Any:
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)]
    return flat if shape else flat[0]


@st.composite
def tables(draw) -> tuple[Signature, int, dict[str, list[Any]]]:
    """A signature, a number of rows, and all values of each input in one list."""
    names = draw(st.lists(st.sampled_from(["a", "größe", "x.y"]), min_size=1, max_size=3, unique=True))
    shapes = st.lists(st.integers(1, 3), max_size=3)
    made = arrays({name: (draw(st.sampled_from(list(Datatype))), draw(shapes)) for name in names})
    rows = draw(st.integers(1, 3))
    values = {
        column.name: draw(
            st.lists(
                ELEMENTS[column.datatype],
                min_size=rows * int(np.prod(column.shape)),
                max_size=rows * int(np.prod(column.shape)),
            )
        )
        for column in made.inputs
    }
    return made, rows, values


def rows_of(made: Signature, rows: int, values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    cut = {
        column.name: np.array(values[column.name], object).reshape(rows, -1).tolist()
        for column in made.inputs
    }
    return [
        {column.name: nested(cut[column.name][row], column.shape) for column in made.inputs}
        for row in range(rows)
    ]


def v2(made: Signature, rows: int, values: dict[str, list[Any]], *, binary: bool) -> tuple[bytes, bytes]:
    tensors, raws = [], []
    for column in made.inputs:
        given = values[column.name]
        tensor = {"name": column.name, "datatype": column.datatype, "shape": [rows, *column.shape]}
        if binary:
            raws.append(raw_of(column.datatype, given))
            tensor["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            tensor["data"] = list(map(json_value, given))
        tensors.append(tensor)
    return json.dumps({"inputs": tensors}).encode(), b"".join(raws)


def raw_of(datatype: Datatype, given: list[Any]) -> bytes:
    if datatype is Datatype.BYTES:
        texts = [text.encode() for text in given]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(given, NUMPY[datatype]).tobytes()


def table(made: Signature, values: dict[str, list[Any]], *, form: str) -> pa.Table:
    """Lists in lists, lists of fixed size, or one flat list a row."""
    columns = {}
    for column in made.inputs:
        array = pa.array(values[column.name], ARROW.get(column.datatype))
        sizes = [int(np.prod(column.shape))] if form == "flat" and column.shape else column.shape
        for size in reversed(sizes):
            offsets = np.arange(0, len(array) + 1, size, dtype=np.int32)
            fixed = form == "fixed"
            array = (
                pa.FixedSizeListArray.from_arrays(array, size)
                if fixed
                else pa.ListArray.from_arrays(offsets, array)
            )
        columns[column.name] = array
    return pa.table(columns)


def parquet(content: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(content, file)
    return file.getvalue()


def at_model(made: Signature, source: bytes, rows: int) -> list[tuple[str, list[int], Any]]:
    """Type, shape and values of each array, to the bit; but all NaN are one."""
    call = Predict(1, rows, ["label"], "tensors", 0, False, len(source), False, 0, 0)
    read = RowReader(made, frozenset()).read(call, memoryview(source))
    return [(str(array.dtype), list(array.shape), bits(array)) for array in read.values()]


def bits(array: np.ndarray) -> Any:
    if array.dtype.kind == "f":
        return np.where(np.isnan(array), np.nan, array).astype(array.dtype).tobytes()
    return array.tolist()


@settings(deadline=None, max_examples=150)
@given(tables())
def test_arrays_reach_the_model_bit_by_bit_the_same(sent):
    made, rows, values = sent
    reader, named = BodyReader(made), rows_of(*sent)
    spelled = [{name: spell(value) for name, value in row.items()} for row in named]

    bodies: dict[str, PredictBody] = {
        "JSON by name": reader.read_json(json.dumps({"inputs": spelled}).encode()),
        "JSON by position": reader.read_json(
            json.dumps({"inputs": [list(row.values()) for row in spelled]}).encode()
        ),
        "V2 as JSON": reader.read_v2(v2(*sent, binary=False)[0], None),
        "V2 in binary": read_binary(reader, v2(*sent, binary=True)),
    }
    seen = {}
    for form in ("nested", "fixed", "flat"):
        bodies[f"Arrow, {form}"] = reader.read_arrow(arrow_stream(table(made, values, form=form)))
        submitted = job_calls(made, parquet(table(made, values, form=form)), FileFormat.PARQUET)
        [(call, area)] = submitted.calls
        assert call.slot.kind == "tensors"
        seen[f"Parquet, {form}"] = at_model(made, area, call.rows)

    expected = bodies["JSON by name"].rows
    for name, body in bodies.items():
        assert body.rows == expected, name
    for name, columns in seen.items():
        assert columns == at_model(made, expected.body, rows), name


def spell(value: Any) -> Any:
    return [spell(part) for part in value] if isinstance(value, list) else json_value(value)


def read_binary(reader: BodyReader, sent: tuple[bytes, bytes]) -> PredictBody:
    return reader.read_v2(b"".join(sent), len(sent[0]))


@settings(deadline=None, max_examples=60)
@given(tables(), st.lists(st.integers(1, 2), min_size=1, max_size=3))
def test_requests_that_share_a_call_are_the_rows_that_they_would_be_as_one(sent, cuts):
    made = sent[0]
    reader = BodyReader(made)
    named = [{name: spell(value) for name, value in row.items()} for row in rows_of(*sent)]
    requests = [named[:1], *[named * cut for cut in cuts]]
    bodies = [reader.read_json(json.dumps({"inputs": request}).encode()).rows for request in requests]

    joined = join_tensors([body.body for body in bodies], [body.rows for body in bodies], made.inputs)

    together = [row for request in requests for row in request]
    as_one = reader.read_json(json.dumps({"inputs": together}).encode()).rows
    assert b"".join(joined) == as_one.body


def test_numbers_are_not_copied_on_their_way_into_the_model():
    body = BodyReader(IMAGES).read_json(msgspec.json.encode({"input": {"image": IMAGE, "age": 7}}))
    source = memoryview(bytearray(body.rows.body))
    call = Predict(1, 1, ["label"], "tensors", 0, False, len(source), False, 0, 0)

    read = RowReader(IMAGES, frozenset()).read(call, source)

    assert all(np.shares_memory(array, np.frombuffer(source, np.uint8)) for array in read.values())
    np.testing.assert_array_equal(read["image"], np.array([IMAGE], np.float32))
    assert (read["image"].dtype, read["age"].tolist()) == (np.float32, [7])


def refusal(body: Any, signature: Signature = IMAGES) -> list[tuple]:
    with pytest.raises(InputMismatch) as refused:
        BodyReader(signature).read_json(msgspec.json.encode(body))
    return [(error.row, error.column, error.message) for error in refused.value.errors]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (5, "expected an array of shape [2, 3], got the number 5"),
        (None, "expected an array of shape [2, 3], got null"),
        ([[1, 2, 3]], "expected an array of shape [2, 3], got 1 parts where 2 are wanted"),
        ([[1, 2, 3], [1, 2]], "expected an array of shape [2, 3]; at [1] it got 2 parts where 3 are wanted"),
        ([[1, 2, 3], 4], "expected an array of shape [2, 3]; at [1] it got the number 4"),
        ([[1, 2, 3], [1, "x", 3]], "at [1, 1]: expected a number, got the text 'x'"),
        ([[1, 2, 3], [1, 1e39, 3]], "at [1, 1]: too large for FP32"),
    ],
)
def test_an_array_in_json_that_does_not_fit_is_told_with_row_and_place(image: Any, message: str):
    rows = [{"image": IMAGE, "age": 1}, {"image": image, "age": 1}]

    assert refusal({"inputs": rows}) == [(1, "image", message)]


def test_whole_numbers_cannot_be_missing_in_arrays():
    assert refusal({"input": {"image": IMAGE, "age": None}}) == [
        (0, "age", "expected a whole number, got null")
    ]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 3, 2], r"its shape is \[1, 3, 2\]; the model takes \[rows, 2, 3\]"),
        ([1, 6], r"its shape is \[1, 6\]; the model takes \[rows, 2, 3\]"),
        ([1, 1, 2, 3], "it has 4 dimensions; rows have 1 to 3"),
    ],
)
def test_a_tensor_of_another_shape_is_refused(shape: list[int], message: str):
    image = {"name": "image", "datatype": "FP32", "shape": shape, "data": [0.0] * 6}
    age = {"name": "age", "datatype": "INT64", "shape": [1, 1], "data": [7]}

    with pytest.raises(TensorMismatch, match=message):
        BodyReader(IMAGES).read_json(msgspec.json.encode({"inputs": [image, age]}))


def test_narrow_tensors_widen_to_what_the_model_takes():
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "parameters": {"binary_data_size": 6}}
    age = {"name": "age", "datatype": "UINT8", "shape": [1], "parameters": {"binary_data_size": 1}}

    body = read_binary(BodyReader(IMAGES), (msgspec.json.encode({"inputs": [image, age]}), bytes(range(7))))

    assert at_model(IMAGES, body.rows.body, 1)[0][2] == np.arange(6, dtype=np.float32).tobytes()


ONE_IMAGE = [[[0.0, 1, 2], [3, 4, 5]]]


def as_table(images: pa.Array) -> pa.Table:
    return pa.table({"image": images, "age": pa.array([7] * len(images))})


def test_fixed_shape_tensors_of_arrow_are_arrays():
    images = pa.FixedShapeTensorArray.from_numpy_ndarray(np.array(ONE_IMAGE * 2))

    body = BodyReader(IMAGES).read_arrow(arrow_stream(as_table(images)))
    submitted = job_calls(IMAGES, parquet(as_table(images)), FileFormat.PARQUET)

    assert body.rows.rows == 2
    assert submitted.calls[0][1] == body.rows.body


@pytest.mark.parametrize(
    "images",
    [
        pa.array([[["a"] * 3] * 2]),
        pa.array([1.0]),
        pa.array([[[1.0, 2], [3, 4], [5, 6]]], pa.list_(pa.list_(pa.float64(), 2), 3)),
        pa.array([[[[1.0] * 3] * 2]]),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 3, 2))),
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float64(), [2, 3], permutation=[1, 0]),
            pa.array([[1.0] * 6], pa.list_(pa.float64(), 6)),
        ),
    ],
)
def test_a_column_of_other_arrays_is_refused_with_the_shape_wanted(images: pa.Array):
    with pytest.raises(InputMismatch) as online:
        BodyReader(IMAGES).read_arrow(arrow_stream(as_table(images)))
    with pytest.raises(ColumnsDoNotFit, match=r"'image' does not fit: expected arrays of shape \[2, 3\]"):
        job_calls(IMAGES, parquet(as_table(images)), FileFormat.PARQUET)

    assert online.value.errors[0].column == "image"
    assert "expected arrays of shape [2, 3] of FP32" in online.value.errors[0].message


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "expected an array of shape [2, 3], got null"),
        ([[1.0, 2, 3], None], "expected an array of shape [2, 3], got null"),
        ([[1.0, 2, 3], [4]], "expected an array of shape [2, 3], got a list of 1 where 3 are wanted"),
        ([[1.0, 2, 3]], "expected an array of shape [2, 3], got a list of 1 where 2 are wanted"),
    ],
)
def test_an_array_in_a_column_that_does_not_fit_is_told_with_its_row(image: Any, message: str):
    images = as_table(pa.array([*ONE_IMAGE, *ONE_IMAGE, image], pa.list_(pa.list_(pa.float64()))))

    with pytest.raises(InputMismatch) as online:
        BodyReader(IMAGES).read_arrow(arrow_stream(images))
    with pytest.raises(UnreadableInput) as offline:
        job_calls(IMAGES, parquet(images), FileFormat.PARQUET)

    [error] = online.value.errors
    assert (error.row, error.column, error.message) == (2, "image", message)
    assert (offline.value.row, offline.value.column, str(offline.value)) == (2, "image", message)


def test_a_value_in_a_column_of_arrays_that_does_not_fit_is_told_with_its_row():
    images = as_table(pa.array([*ONE_IMAGE, [[1.0, 2, 3], [4, 1e39, 6]]]))

    with pytest.raises(InputMismatch) as online:
        BodyReader(IMAGES).read_arrow(arrow_stream(images))
    with pytest.raises(UnreadableInput, match="too large for FP32") as offline:
        job_calls(IMAGES, parquet(images), FileFormat.PARQUET)

    [error] = online.value.errors
    assert (error.row, error.column, error.message) == (1, "image", "at [1, 1]: too large for FP32")
    assert (offline.value.row, offline.value.column) == (1, "image")


def test_csv_has_no_arrays_and_says_what_has():
    with pytest.raises(
        ColumnsDoNotFit, match="'image', which CSV cannot hold: send a Parquet file"
    ) as refused:
        job_calls(IMAGES, b"image,age\n1,2\n", FileFormat.CSV)

    assert refused.value.column == "image"


def test_csv_feeds_models_whose_arrays_are_all_scalars_but_for_gaps():
    made = arrays({"a": (Datatype.FP32, []), "b": (Datatype.INT64, [])})

    [(call, area)] = job_calls(made, b"a,b\n0.1,7\n,8\n", FileFormat.CSV).calls

    a, b = at_model(made, area, call.rows)
    assert (a, b[2]) == (("float32", [2], np.array([0.1, np.nan], np.float32).tobytes()), [7, 8])
    with pytest.raises(UnreadableInput, match="a value is missing, which a INT64 cannot be") as gap:
        job_calls(made, b"a,b\n0.1,7\n1,\n", FileFormat.CSV)
    assert (gap.value.row, gap.value.column) == (1, "b")


def test_more_than_fits_a_request_is_refused_and_makes_several_calls_of_a_job():
    made = arrays({"x": (Datatype.FP64, [1024, 1024])})
    rows = MAX_BYTES // (8 * 1024 * 1024) + 1
    raw = bytes(rows * 1024 * 1024)
    x = {"name": "x", "datatype": "UINT8", "shape": [rows, 1024, 1024]}
    request = msgspec.json.encode({"inputs": [x | {"parameters": {"binary_data_size": len(raw)}}]})
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.frombuffer(raw, np.uint8)), 1024 * 1024)

    with pytest.raises(TooLarge, match="9 rows are 75497472 bytes"):
        read_binary(BodyReader(made), (request, raw))

    submitted = job_calls(made, parquet(pa.table({"x": flat})), FileFormat.PARQUET)
    assert [call.rows for call, _ in submitted.calls] == [4, 4, 1]


def test_equal_arrays_have_one_cache_key_and_others_another():
    reader = BodyReader(IMAGES)
    images = as_table(pa.array([[[0.0, 0.5, 1.0], [2, 3.5, float("nan")]]]))
    by_name = reader.read_json(msgspec.json.encode({"inputs": [{"age": 7, "image": IMAGE}]})).rows
    by_arrow = reader.read_arrow(arrow_stream(images)).rows
    other = reader.read_json(msgspec.json.encode({"inputs": [{"age": 8, "image": IMAGE}]})).rows

    keys = [canonical(rows, ("label",), "digest") for rows in (by_name, by_arrow, other)]

    assert keys[0] == keys[1] != keys[2]


def test_an_example_is_taken_as_it_stands_or_described_where_it_is_large():
    small = example_request(IMAGES)
    large = example_request(arrays({"image": (Datatype.FP32, [3, 224, 224])}))

    assert BodyReader(IMAGES).read_json(msgspec.json.encode(small)).rows.rows == 1
    assert large == {"input": {"image": "3 lists of 224 lists of 224 values of FP32"}}
