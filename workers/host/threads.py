"""Holds the thread pools of numeric libraries to one thread: many hosts share the cores."""

import importlib
from contextlib import AbstractContextManager
from typing import cast


def one_thread() -> AbstractContextManager[object]:
    """Limit every pool that is loaded. What is loaded later reads the environment, which says the same."""
    parallel = importlib.import_module("sklearn.utils.parallel")
    controller = parallel._get_threadpool_controller()  # noqa: SLF001  the template has filled its cache
    return cast("AbstractContextManager[object]", controller.limit(limits=1))
