"""Keeps pandas out of processes that have no use for data frames: it is for model hosts alone."""

import sys
from importlib.abc import MetaPathFinder


def keep_pandas_out() -> None:
    """Make every later `import pandas` of this process fail as if it were not installed.

    pyarrow imports it for a look at its first array: 40 MB and half a second for nothing. It copes without.
    """
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: object = None) -> None:  # noqa: ARG002
        """Refuse one module; leave the others to others."""
        if name == "pandas":
            raise ModuleNotFoundError(name)
