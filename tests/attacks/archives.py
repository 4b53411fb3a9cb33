"""Archives, texts and graphs: files of other formats than pickle that attack by what they say."""

import base64
import io
import json
import marshal
import struct
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np

from tests.attacks.artifacts import MIB, Contents, calling, code_of

_MLMODEL = b"""flavors:
  python_function:
    loader_module: os
    python_version: 3.11.0
  sklearn:
    pickled_model: ../../../../etc/passwd
"""
_REQUIREMENTS = b"""--index-url http://127.0.0.1:1/simple
-e git+file:///etc#egg=evil
evil @ file:///etc
"""


def archives(planted: SimpleNamespace) -> Contents:
    """Archives whose names point elsewhere, or that are larger inside than outside."""
    evil = calling("builtins", "exec", (code_of(planted),))
    climbing = f"../../../../../../..{planted.folder}/{planted.name}"
    return {
        "zip_slip": _zip({climbing: b"pwned", "schema.json": b"{}"}),
        "zip_absolute": _zip({f"{planted.folder}/{planted.name}": b"pwned", "data.pkl": evil}),
        "zip_of_a_pickle": _zip({"archive/data.pkl": evil, "archive/version": b"3\n"}),
        "zip_bomb": lambda: _zip({"archive/data.pkl": bytes(256 * MIB)}),
        "zip_with_a_link": _zip_link(planted.secret_file),
        "zip_of_many_names": lambda: _zip({f"{at}.json": b"" for at in range(50_000)}),
        "skops_of_a_shell": _zip({"schema.json": _skops("os", "system")}),
        "skops_of_nothing_known": _zip({"schema.json": _skops("nowhere", "Evil")}),
        "skops_deep": _zip({"schema.json": b'{"content":' * 100_000 + b"1" + b"}" * 100_000}),
        "keras_lambda": _zip({"config.json": _keras(planted), "metadata.json": b"{}"}),
        "mlflow_of_a_pickle": _zip(
            {"MLmodel": _MLMODEL, "model.pkl": evil, "requirements.txt": _REQUIREMENTS}
        ),
        "safetensors_header": struct.pack("<Q", 2**62) + b"{",
        "safetensors_long": struct.pack("<Q", 64 * MIB) + b"{" + b" " * MIB,
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(4096),
        "tar_slip": _tar(climbing),
    }


def texts(planted: SimpleNamespace) -> Contents:
    """Models that are text, with sizes that cannot be."""
    lightgbm = b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%d\n"
    booster = (
        b'{"learner":{"gradient_booster":{"model":{"gbtree_model_param":{"num_trees":"%d"},"trees":[%s]}}}}'
    )
    return {
        "lightgbm_of_many_features": lightgbm % (2**31 - 1) + b"objective=regression\nfeature_names=x\n",
        "lightgbm_of_many_leaves": lightgbm % 1
        + b"tree_sizes=99\n\nTree=0\nnum_leaves=2147483647\nnum_cat=0\n",
        "xgboost_of_many_trees": booster % (2**40, b""),
        "xgboost_of_many_nodes": booster % (1, b'{"tree_param":{"num_nodes":"4294967295"}}'),
        "json_deep": b"[" * 5_000_000,
        "lines": b"tree\n" * 2_000_000,
        "ubjson": b"{L\x7f\xff\xff\xff\xff\xff\xff\xff",
    }


def onnx_graphs(planted: SimpleNamespace) -> Contents:
    """Graphs that read a file, ask for 160 GB, or loop for ever."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415  takes a second, which few tests need

    X = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)

    def graph(*nodes, initial=()) -> bytes:
        made = helper.make_graph([*nodes], "evil", [X], [y], [*initial])
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()

    outside = numpy_helper.from_array(np.zeros((2, 2), np.float32), "W")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret.key"), ("length", "16")):
        entry = outside.external_data.add()
        entry.key, entry.value = key, value
    shape = numpy_helper.from_array(np.array([200_000, 200_000], np.int64), "shape")
    return {
        "data_outside": graph(helper.make_node("MatMul", ["X", "W"], ["y"]), initial=[outside]),
        "of_160_gigabytes": graph(helper.make_node("ConstantOfShape", ["shape"], ["y"]), initial=[shape]),
        "endless_loop": graph(*_loop(helper, TensorProto), initial=_loop_start(numpy_helper)),
        "cut_short": graph(helper.make_node("Relu", ["X"], ["y"]))[:-10],
        "of_an_unknown_domain": graph(helper.make_node("Evil", ["X"], ["y"], domain="evil")),
    }


def _loop(helper, types) -> list:
    """A body that keeps saying: once more."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", types.INT64, []),
            helper.make_tensor_value_info("go", types.BOOL, []),
            helper.make_tensor_value_info("v", types.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", types.BOOL, []),
            helper.make_tensor_value_info("w", types.FLOAT, None),
        ],
    )
    return [helper.make_node("Loop", ["most", "true", "X"], ["y"], body=body)]


def _loop_start(numpy_helper) -> list:
    most = numpy_helper.from_array(np.array(2**62, np.int64), "most")
    return [most, numpy_helper.from_array(np.array(True), "true")]


def _zip(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def _zip_link(aim: str) -> bytes:
    """An entry that is a symbolic link, as tools on Unix store it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("schema.json")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, aim)
    return file.getvalue()


def _tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"pwned"))
    return file.getvalue()


def _skops(module: str, name: str) -> bytes:
    node = {
        "__class__": name,
        "__module__": module,
        "__loader__": "FunctionNode",
        "__id__": 1,
        "content": name,
    }
    return json.dumps(node | {"protocol": 2, "_skops_version": "0.16"}).encode()


def _keras(planted: SimpleNamespace) -> bytes:
    """A layer whose function is marshalled code."""
    code = base64.b64encode(marshal.dumps(compile(code_of(planted), "x", "exec"))).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": function}}
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}).encode()
