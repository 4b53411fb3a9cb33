"""Holds the thread pools of numeric libraries to one thread: many hosts share the cores."""

import functools
import importlib
from contextlib import AbstractContextManager
from typing import Any, cast

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Limit every pool that is loaded. What is loaded later reads the environment, which says the same."""
    return cast("AbstractContextManager[object]", thread_pools().limit(limits=1))


@functools.cache
def thread_pools() -> Any:
    """The controller that scikit-learn keeps, which finds the pools once: from a file that a cell hides."""
    for place in ("sklearn.utils.parallel", "sklearn.utils.fixes"):  # the second up to 1.4
        find = getattr(importlib.import_module(place), "_get_threadpool_controller", None)
        if find is not None:
            return find()
    return ThreadpoolController()
