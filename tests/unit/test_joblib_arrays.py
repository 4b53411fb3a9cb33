"""Arrays of objects in files of joblib: pickles within a pickle."""

import io
import os

import joblib
import numpy as np
import pytest
from joblib import numpy_pickle

from workers.host.artifact import Artifact
from workers.host.rejection import Rejected
from workers.host.runtimes.pickles import unpickle


class Runs:
    def __reduce__(self):
        return os.mkdir, (os.environ["MARK"],)


@pytest.fixture
def artifact_of():
    """Makes artifacts of what joblib writes."""
    made = []

    def make(model: object) -> Artifact:
        descriptor, content = os.memfd_create("artifact"), io.BytesIO()
        joblib.dump(model, content)
        os.write(descriptor, content.getvalue())
        os.lseek(descriptor, 0, os.SEEK_SET)
        made.append(Artifact(descriptor))
        return made[-1]

    yield make
    for artifact in made:
        artifact.file.close()


@pytest.fixture
def older_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.6 it opened what lies in an array by the standard library's `pickle.load`."""

    def read_array(_, unpickler, *__):
        return numpy_pickle.pickle.load(unpickler.file_handle)

    monkeypatch.setattr(numpy_pickle.NumpyArrayWrapper, "read_array", read_array)


@pytest.mark.usefixtures("older_joblib")
def test_objects_in_an_array_import_no_more_than_was_read(artifact_of, tmp_path, monkeypatch):
    monkeypatch.setenv("MARK", str(tmp_path / "it_ran"))
    artifact = artifact_of(np.array([Runs()], dtype=object))
    artifact.importable = frozenset(
        {("joblib.numpy_pickle", "NumpyArrayWrapper"), ("numpy", "ndarray"), ("numpy", "dtype")}
        | {(module, "_reconstruct") for module in ("numpy._core.multiarray", "numpy.core.multiarray")}
    )

    with pytest.raises(Rejected) as refused:
        unpickle(artifact, "joblib")

    assert refused.value.reason.code == "import_not_read"
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.usefixtures("older_joblib")
def test_objects_in_an_array_are_read(artifact_of):
    loaded, _ = unpickle(artifact_of(np.array(["a", None, 3], dtype=object)), "joblib")

    assert loaded.tolist() == ["a", None, 3]


def test_numbers_in_an_array_are_read(artifact_of):
    loaded, _ = unpickle(artifact_of([np.arange(6.0).reshape(2, 3), np.array(["x"])]), "joblib")

    assert loaded[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded[1].tolist() == ["x"]
