"""ONNX graphs answer as the models that they were made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import OrdinalEncoder

from shared.catalog.verdict import Datatype, Layout
from tests.fixtures.training import churn_pipeline, churn_rows
from workers.host.rejection import Rejected
from workers.host.runtimes.onnx import OnnxRuntime
from workers.hosting.call import PredictCall

BOTH = ("label", "probabilities")
X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names[Y]


def written(tmp_path: Path, model: Any) -> Path:
    path = tmp_path / "model.bin"  # found by content, not by name
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refusal_of(artifact: Any) -> Any:
    with pytest.raises(Rejected) as refused:
        OnnxRuntime().load(artifact).describe(None)
    return refused.value.reason


def predict(host: Any, rows: int, outputs: Sequence[str] = BOTH, **given: Any) -> dict[str, Any]:
    host.submit(PredictCall(rows=rows, outputs=outputs, **given))
    return host.receive(timeout_s=30).outputs


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], **given: Any) -> onnx.ModelProto:
    made = helper.make_graph(nodes, "graph", inputs, outputs, given.pop("weights", []))
    options = {"ir_version": 8, "opset_imports": [helper.make_opsetid("", 17)]} | given
    return helper.make_model(made, **options)


def doubling(shape: list[Any], **given: Any) -> onnx.ModelProto:
    """Answers what it is given, twice."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("rows", "twice")]
    return graph([helper.make_node("Add", ["rows", "rows"], ["twice"])], value[:1], value[1:], **given)


@pytest.mark.parametrize("zipmap", [True, False], ids=["zipmap", "tensor"])
def test_a_classifier_answers_labels_and_probabilities(open_model, tmp_path, zipmap):
    model = LogisticRegression(max_iter=1000).fit(X, NAMES)
    made = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": zipmap})
    host, verdict = open_model(written(tmp_path, made))

    given = predict(host, len(X), matrix=[X.tobytes()])

    assert (verdict.status, verdict.format, verdict.runtime) == ("ready", "onnx", "onnx")
    assert (verdict.signature.layout, verdict.signature.named) == (Layout.MATRIX, False)
    assert [column.name for column in verdict.signature.inputs] == ["x0", "x1", "x2", "x3"]
    assert verdict.signature.classes == ["setosa", "versicolor", "virginica"]
    assert given["label"] == model.predict(X).tolist()
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(X), atol=1e-5)


def test_whole_numbers_can_be_classes(open_model, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(X, Y)
    made = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False})
    host, verdict = open_model(written(tmp_path, made))

    given = predict(host, len(X), matrix=[X.tobytes()])

    assert verdict.signature.classes == [0, 1, 2]
    assert given["label"] == model.predict(X.astype(np.float32)).tolist()


def test_a_regressor_answers_one_number_a_row(open_model, tmp_path):
    model = LinearRegression().fit(X[:, :3], X[:, 3])
    host, verdict = open_model(written(tmp_path, to_onnx(model, X[:1, :3])))

    given = predict(host, len(X), ["label"], matrix=[np.ascontiguousarray(X[:, :3]).tobytes()])

    assert [(output.name, output.shape) for output in verdict.signature.outputs] == [("label", [])]
    np.testing.assert_allclose(given["label"], model.predict(X[:, :3]), rtol=1e-12)


def test_a_pipeline_on_a_table_takes_its_columns_by_name(open_model, tmp_path):
    table, _ = churn_rows(50)
    table["payment"] = table["payment"].fillna("card")
    model = churn_pipeline()
    types = [
        (
            name,
            StringTensorType([None, 1]) if table[name].dtype.kind not in "fi" else FloatTensorType([None, 1]),
        )
        for name in table.columns
    ]
    made = convert_sklearn(model, initial_types=types, options={"zipmap": False})
    host, verdict = open_model(written(tmp_path, made))
    columns = [[None if pd.isna(v) else v for v in table[name].tolist()] for name in table.columns]

    given = predict(host, 50, columns=columns)

    assert (verdict.signature.layout, verdict.signature.named) == (Layout.TABLE, True)
    assert [column.name for column in verdict.signature.inputs] == list(table.columns)
    assert [column.datatype.value for column in verdict.signature.inputs] == ["FP64"] * 3 + ["BYTES"] * 2
    assert given["label"] == model.predict(table).tolist()
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(table), atol=1e-5)


def test_a_matrix_of_text_is_a_table_of_numbered_columns(open_model, tmp_path):
    words = np.array([["a", "x"], ["b", "y"], ["a", "y"]], dtype=object)
    made = convert_sklearn(
        OrdinalEncoder().fit(words), initial_types=[("words", StringTensorType([None, 2]))]
    )
    host, verdict = open_model(written(tmp_path, made))

    given = predict(host, 3, ["label"], columns=words.T.tolist())

    assert [(column.name, column.datatype) for column in verdict.signature.inputs] == [
        ("x0", Datatype.BYTES),
        ("x1", Datatype.BYTES),
    ]
    assert given["label"] == [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def test_a_net_of_images_takes_tensors(artifact_of, tmp_path):
    random = np.random.default_rng(0)
    weights = numpy_helper.from_array(random.normal(size=(12, 5)).astype(np.float32), "w")
    made = graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["scores"]),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 2, 2])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5])],
        weights=[weights],
    )
    images = random.normal(size=(4, 3, 2, 2))
    model = OnnxRuntime().load(artifact_of(written(tmp_path, made)))

    signature = model.describe(None).signature
    given = model.predict({"image": images}, ["label"])["label"]

    assert signature.layout is Layout.TENSORS
    assert [(column.name, column.shape) for column in signature.inputs] == [("image", [3, 2, 2])]
    assert [(output.name, output.shape) for output in signature.outputs] == [("label", [5])]
    direct = InferenceSession(made.SerializeToString()).run(None, {"image": images.astype(np.float32)})[0]
    np.testing.assert_array_equal(given, direct)


def test_a_graph_of_one_row_at_a_time_answers_many(open_model, tmp_path):
    host, verdict = open_model(written(tmp_path, doubling([1, 2])))

    given = predict(host, 3, ["label"], matrix=[np.arange(6.0).tobytes()])

    assert "one row at a time" in " ".join(verdict.warnings)
    assert given["label"] == [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]


def test_a_width_that_the_graph_leaves_open_is_that_of_the_sample(open_model, tmp_path):
    path, sample = written(tmp_path, doubling(["n", "k"])), tmp_path / "sample.csv"
    sample.write_text("a,b,c\n1,2,3\n")

    _, unknown = open_model(path)
    host, verdict = open_model(path, sample=sample)

    assert (unknown.reason.code, "sample" in unknown.reason.remedy) == ("inputs_unknown", True)
    assert len(verdict.signature.inputs) == 3
    assert predict(host, 1, ["label"], matrix=[np.arange(3.0).tobytes()])["label"] == [[0.0, 2.0, 4.0]]


def test_a_graph_stays_native_and_says_why(open_model, tmp_path):
    host, _ = open_model(written(tmp_path, doubling(["n", 2])))

    engine = host.accelerate(timeout_s=60)

    assert engine.name == "native"
    assert "its own library answers" in engine.why


def test_an_opened_graph_opens_again_by_its_signature(open_model, tmp_path):
    made = to_onnx(LogisticRegression(max_iter=1000).fit(X, NAMES), X[:1].astype(np.float32))
    path = written(tmp_path, made)
    _, verdict = open_model(path)

    host, known = open_model(path, probe=False, signature=verdict.signature)

    assert known.status == "ready"
    assert predict(host, 1, ["label"], matrix=[X[:1].tobytes()])["label"] == ["setosa"]


def test_weights_in_other_files_are_refused(artifact_of, tmp_path):
    made = doubling(["n", 2])
    weight = made.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")

    assert refusal_of(artifact_of(written(tmp_path, made))).code == "external_data"


def test_weights_in_other_files_are_found_in_inner_graphs(artifact_of, tmp_path):
    made = doubling(["n", 2])
    inner = helper.make_graph([], "inner", [], [])
    inner.initializer.add(name="w", data_location=TensorProto.EXTERNAL)
    made.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))

    assert refusal_of(artifact_of(written(tmp_path, made))).code == "external_data"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (doubling([8, 2]), "fixed_batch"),
        (doubling([]), "input_unsupported"),
        (doubling(["n", 3, "height", "width"]), "inputs_unknown"),
        (doubling(["n", 2], ir_version=99), "onnx_too_new"),
        (doubling(["n", 2], opset_imports=[helper.make_opsetid("", 999)]), "onnx_too_new"),
        (doubling(["n", 3, 2, 2]), "output_unsupported"),
        (
            graph(
                [helper.make_node("Mine", ["rows"], ["twice"], domain="my.own")],
                [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 2])],
                [helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 2])],
                opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)],
            ),
            "operator_unknown",
        ),
    ],
    ids=["batch", "no rows", "open size", "ir version", "opset", "deep output", "own operator"],
)
def test_what_cannot_be_served_is_refused_with_what_to_do(artifact_of, tmp_path, model, code):
    reason = refusal_of(artifact_of(written(tmp_path, model)))

    assert reason.code == code
    assert reason.remedy


def test_a_file_that_breaks_off_is_known_for_an_onnx_file(open_model, tmp_path):
    whole = to_onnx(LinearRegression().fit(X, Y), X[:1]).SerializeToString()

    for length in (len(whole) - 1, len(whole) * 2 // 3):
        _, verdict = open_model(written(tmp_path, whole[:length]))

        assert (verdict.runtime, verdict.reason.code) == ("onnx", "truncated_file")


@pytest.mark.parametrize(
    "content",
    [
        b"\x08",
        b"\x08\x09 is no model",
        b"\x08\x07\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"a,b\n1,2\n" * 99,
    ],
)
def test_other_bytes_are_not_taken_for_onnx(artifact_of, tmp_path, content):
    assert not OnnxRuntime().recognises(artifact_of(written(tmp_path, content)))


def test_bytes_that_were_changed_never_end_more_than_the_host(open_model, tmp_path):
    whole = bytearray(to_onnx(LinearRegression().fit(X, Y), X[:1]).SerializeToString())
    random = np.random.default_rng(3)
    for at in random.integers(30, len(whole), 30):
        whole[at] = random.integers(0, 256)

    _, verdict = open_model(written(tmp_path, bytes(whole)))

    assert verdict.status == "rejected"
    assert verdict.reason.message
