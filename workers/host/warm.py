"""Imports what models need, once, before any host is forked: hosts then share it and start in milliseconds.

Imports only: no parallel region may run here, since the threads of one do not survive a fork.
"""

import contextlib
import gc
import importlib
import importlib.util
import os
import pkgutil
import warnings

from workers.host.threads import thread_pools

# Each where it is installed: engines, without which models stay native; and, in environments that have them,
# boosters, whose imports start no thread.
_MAY_BE_MISSING = (
    "onnxruntime",
    "onnx",
    "skl2onnx",
    "treelite",
    "treelite.gtil",
    "treelite.frontend",
    "wasmtime",
    "skops.io",
    "lightgbm",
    "xgboost",
)
# Of environments that have them. Keras looks for its settings in a home that a host has not.
_FRAMEWORKS = ("torch", "torch.export.pt2_archive", "tensorflow", "keras")
_FRAMEWORK_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": "/nonexistent/keras",
}
_NEVER = (
    "sklearn.conftest",
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.experimental",
    "sklearn.tests",
)


def import_model_libraries() -> None:
    """Import numpy, scipy, pandas, pyarrow, joblib, cloudpickle, scikit-learn, engines, skops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("numpy", "scipy.sparse", "scipy.special", "pandas", "pyarrow", "pyarrow.parquet"):
            importlib.import_module(name)
        for name in ("joblib.numpy_pickle", "cloudpickle", "sklearn"):
            importlib.import_module(name)
        for name in _public_modules("sklearn"):
            importlib.import_module(name)
        _import_what_is_there()
        _import_frameworks()
        _look_at_thread_pools()
        _rehearse()
    gc.collect()
    gc.freeze()  # what is imported is never collected, so that its pages stay shared


def _import_what_is_there() -> None:
    """Import them, but take back what one of them (XGBoost) writes into the environment."""
    given = set(os.environ)
    for name in _MAY_BE_MISSING:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module(name)
    for name in os.environ.keys() - given:
        del os.environ[name]


def _import_frameworks() -> None:
    """Import what an environment was made for. None of these starts a thread before it computes."""
    present = [name for name in _FRAMEWORKS if importlib.util.find_spec(name.split(".")[0]) is not None]
    if present:
        os.environ.update(_FRAMEWORK_ENVIRONMENT)
    for name in present:
        with contextlib.suppress(ImportError):  # an older one, which has not all of it
            importlib.import_module(name)


def _public_modules(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    names = [f"{package}.{module.name}" for module in pkgutil.iter_modules(path)]
    return [name for name in names if name not in _NEVER and not name.startswith(f"{package}._")]


def _look_at_thread_pools() -> None:
    """Some estimators (KMeans) ask at predict time which BLAS is loaded, from a file that a sandbox hides."""
    thread_pools()


def _rehearse() -> None:
    """Scikit-learn imports the rest of what it needs when it first sees a table."""
    import pandas as pd  # noqa: PLC0415  after the warnings of all imports are silenced
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    _rehearse_engine()
    table = pd.DataFrame({"x0": [0.0, 1.0], "x1": [1.0, 0.0]})
    StandardScaler().fit(table).transform(table)


def _rehearse_engine() -> None:
    """ONNX Runtime fills its registers, some 15 MB, when it opens its first graph. One thread: see there."""
    import numpy as np  # noqa: PLC0415  after the warnings of all imports are silenced

    from workers.host.engines.compiled import CannotCompile  # noqa: PLC0415
    from workers.host.engines.onnx_session import scores_of  # noqa: PLC0415
    from workers.host.engines.tree_graph import write_graph  # noqa: PLC0415

    with contextlib.suppress(CannotCompile):
        scores_of(write_graph([], np.ones(1), 1))(np.zeros((1, 1)))
