"""Holds the thread pools of numeric libraries to one thread: many hosts share the cores."""

import importlib
from contextlib import AbstractContextManager
from typing import Any, cast

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Limit every pool that is loaded. What is loaded later reads the environment, which says the same."""
    return cast("AbstractContextManager[object]", thread_pools().limit(limits=1))


def thread_pools() -> Any:
    """The controller that scikit-learn keeps, which finds the pools once; before 1.3 it kept none."""
    parallel = importlib.import_module("sklearn.utils.parallel")
    if hasattr(parallel, "_get_threadpool_controller"):
        return parallel._get_threadpool_controller()  # noqa: SLF001  predict reads its cache
    return ThreadpoolController()
