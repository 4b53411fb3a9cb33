"""Scikit-learn's estimators, out of the files of skops."""

import re
import warnings
from typing import Any

import sklearn

from shared.catalog.verdict import Contents
from workers.host.artifact import Artifact
from workers.host.error_text import describe, shown
from workers.host.rejection import Rejected
from workers.host.runtimes import sklearn_refusals
from workers.host.runtimes.library import library
from workers.host.runtimes.pickles import Global
from workers.host.runtimes.sklearn import SklearnModel, model_of
from workers.host.runtimes.skops_types import TRUSTED
from workers.host.zipped import opened

_SCHEMA = "schema.json"
_SHOWN_TYPES = 10
_SAVE_AGAIN = "Save the fitted estimator with `skops.io.dump(model, 'model.skops')` and upload that file."

_TYPE = re.compile(rb'"__class__":\s*"([^"\\]+)",\s*"__module__":\s*"([^"\\]+)"')
_VERSION = re.compile(rb'"_sklearn_version":\s*\{[^{}]*"content":\s*"\\"(\d[\w.+]{2,20})\\""')


class SkopsRuntime:
    """Opens what `skops.io.dump` writes, as long as it names nothing but types that were looked at."""

    name = "skops"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it is a zip archive with a schema in it."""
        folder = opened(artifact)
        return folder is not None and _SCHEMA in folder.names

    def read(self, artifact: Artifact) -> Contents:
        """The version of scikit-learn that wrote it."""
        version = _version(_schema(artifact))
        needs: dict[str, str | None] = {"skops": None}
        if version is not None and version != sklearn.__version__:
            needs["scikit-learn"] = version
        return Contents(format="skops", runtime=self.name, needs=needs)

    def load(self, artifact: Artifact) -> SklearnModel:
        """Build the estimator, unless a type in the file is none that may be built."""
        schema = _schema(artifact)
        artifact.file.seek(0)
        loaded = _loaded(artifact.file.read(), _version(schema))
        return model_of(loaded, "skops", _types(schema), _version(schema))


def _schema(artifact: Artifact) -> bytes:
    """What the file says that it holds.

    Raises:
        Rejected: it is damaged.
    """
    folder = opened(artifact)
    if folder is None:
        raise TypeError("asked of an artifact that was not recognised")
    return folder.read(_SCHEMA)


def _version(schema: bytes) -> str | None:
    found = _VERSION.search(schema)
    return found[1].decode() if found else None


def _types(schema: bytes) -> set[Global]:
    return {
        (module.decode(errors="replace"), name.decode(errors="replace"))
        for name, module in _TYPE.findall(schema)
    }


def _loaded(content: bytes, version: str | None) -> Any:
    io = library("skops.io")
    try:
        named = set(io.get_untrusted_types(data=content))
        _refuse_unknown(named)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a version that differs; the verdict says so
            return io.loads(content, trusted=sorted(named))
    except Exception as error:
        refusal = sklearn_refusals.unreadable(error, version)
        if isinstance(refusal, Rejected) and refusal.reason.code == "load_failed":
            what = describe(error)
            refusal = Rejected("load_failed", f"skops cannot open the file: {what}.", _SAVE_AGAIN)
        raise refusal from error


def _refuse_unknown(named: set[str]) -> None:
    """Nothing that the file names is trusted for its sake: all of it is on our own list, or on skops' own.

    Raises:
        Rejected: something is not.
    """
    unknown = sorted(named - TRUSTED)
    if unknown:
        raise Rejected(
            "types_not_trusted",
            f"The file names what is not known to be harmless: {shown(', '.join(unknown[:_SHOWN_TYPES]))}.",
            "Save an estimator of scikit-learn's own parts; of a search, its `best_estimator_`.",
        )
