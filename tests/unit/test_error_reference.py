"""The page of errors holds every code that a client can meet."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import api
import shared
from shared.errors import OperatorError, PlatformError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text()
ABSTRACT = {"caller_error", "transient_error", "platform_error"}  # only their branches are raised
INSIDE = {"request_withdrawn"}  # told to nobody who is left


def errors_of(*packages) -> Iterator[type[PlatformError]]:
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting = [PlatformError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(("api.", "shared.")):
            yield kind


def test_every_error_that_http_can_answer_is_explained():
    codes = {e.code for e in errors_of(api, shared) if not issubclass(e, OperatorError)}

    assert {code for code in codes - ABSTRACT - INSIDE if f"`{code}`" not in PAGE} == set()


def test_every_reason_of_a_rejection_is_explained():
    folders = ("host", "hosting", "environments", "predict")
    sources = [file for folder in folders for file in ROOT.glob(f"workers/{folder}/**/*.py")]
    given = re.compile(r'(?:Rejected\(|code=)\s*"([a-z_]+)"')

    codes = {code for source in sources for code in given.findall(source.read_text())}

    assert len(codes) > 10
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
