"""How names stand that pickles import."""

import builtins
import codecs
import ctypes
import functools
import importlib
import io
import operator
import os
import pickle
import runpy
import shutil
import socket
import subprocess
import sys
import timeit
import urllib.request

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from workers.host.reading.pickle_reading import read_pickle
from workers.host.reading.standing import ALLOWED_NAMES, is_dangerous, standing_of


class Calls:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def gadgets() -> list[Calls]:
    return [
        Calls(os.system, "true"),
        Calls(os.popen, "true"),
        Calls(subprocess.Popen, ["true"]),
        Calls(subprocess.check_output, ["true"]),
        Calls(eval, "1"),
        Calls(exec, "1"),
        Calls(builtins.__import__, "os"),
        Calls(open, "/etc/passwd"),
        Calls(getattr, os, "system"),
        Calls(setattr, Calls, "x", 1),
        Calls(importlib.import_module, "os"),
        Calls(ctypes.CDLL, "libc.so.6"),
        Calls(runpy.run_path, "/nowhere"),
        Calls(shutil.rmtree, "/nowhere"),
        Calls(socket.create_connection, ("127.0.0.1", 1)),
        Calls(urllib.request.urlopen, "http://127.0.0.1"),
        Calls(timeit.timeit, "1"),
        Calls(sys.exit, 1),
        Calls(io.open, "/etc/passwd"),
        Calls(codecs.open, "/etc/passwd"),
        Calls(pickle.loads, b"N."),
        Calls(operator.attrgetter("system")),
        Calls(operator.methodcaller("system", "true")),
        Calls(functools.partial(os.system, "true")),
        Calls(joblib.load, "/nowhere"),
        Calls(np.load, "/nowhere"),
        Calls(np.fromfile, "/nowhere"),
        Calls(np.memmap, "/nowhere"),
        Calls(pd.read_pickle, "/nowhere"),
        Calls(pd.read_csv, "http://127.0.0.1"),
        Calls(pd.eval, "1"),
    ]


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_that_call_what_they_should_not_are_dangerous(protocol):
    for gadget in gadgets():
        if gadget.call[1][:1] == (os,):
            continue  # modules cannot be pickled
        content = pickle.dumps(gadget, protocol)

        reading = read_pickle(io.BytesIO(content), joblib=False, size_bytes=len(content))

        standings = {each.standing for each in reading.imports}
        assert "dangerous" in standings, (gadget.call, reading.imports)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "f2py.os.system"),
        ("sklearn.base", "os.system"),
        ("joblib", "numpy_pickle.load"),
        ("numpy.f2py.crackfortran", "myeval"),
        ("numpy.f2py.diagnose", "run_command"),
        ("cProfile", "run"),
        ("__builtin__", "eval"),
        ("__builtin__", "apply"),
        ("commands", "getoutput"),
        ("urllib", "urlretrieve"),
        ("torch.hub", "load"),
        ("joblib.numpy_pickle_compat", "NDArrayWrapper"),
        ("sklearn.datasets._openml", "fetch_openml"),
        ("pandas.io.pickle", "read_pickle"),
        ("os.path", "join"),
        ("", "eval"),
        ("numpy", ""),
        ("numpy", "ndarray\u200b"),
    ],
)
def test_names_that_reach_further_than_a_model_are_dangerous(module, name):
    assert standing_of(module, name) == "dangerous"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("functools", "partial"),
        ("acme.models", "Churn"),
        ("__main__", "Model"),
        ("sklearn.linear_model._logistic", "no_such_thing"),
        ("xgboost.sklearn", "XGBClassifier"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("osmnx", "Graph"),
        ("builtins", "type"),
    ],
)
def test_what_nobody_vouches_for_is_unknown(module, name):
    assert standing_of(module, name) == "unknown"


def test_what_models_need_is_allowed():
    content = pickle.dumps(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))

    reading = read_pickle(io.BytesIO(content), joblib=False, size_bytes=len(content))

    assert {each.standing for each in reading.imports} == {"allowed"}


def test_no_dangerous_name_came_onto_the_list():
    assert {pair for pair in ALLOWED_NAMES if is_dangerous(*pair)} == set()


def test_no_function_on_the_list_calls_or_opens_what_it_is_given():
    functions = {name for _, name in ALLOWED_NAMES if name.islower()}

    assert not functions & {
        "partial",
        "reduce",
        "apply",
        "load",
        "open",
        "getattr",
        "call",
        "eval",
        "run",
        "map",
    }
