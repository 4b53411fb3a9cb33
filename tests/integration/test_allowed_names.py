"""Every estimator that scikit-learn has is a plain model, however it was saved."""

import gzip
import io
import pickle
from itertools import chain

import joblib
import pytest
import sklearn

from bench import allowed_names as making
from bench.estimators import fitted_estimators
from tests.fixtures.artifacts import MakeArtifact
from workers.host.reading.pickled import pickled_contents

pytestmark = pytest.mark.xdist_group("test_allowed_names")  # fitting them all takes a while

COMPRESSIONS = (("zlib", 1), ("gzip", 1), ("bz2", 1), ("xz", 1), ("lzma", 1))


@pytest.fixture(scope="module")
def estimators() -> dict[str, list[tuple[bytes, bool]]]:
    """The files of each: pickles of several protocols, then joblib's."""
    saved = {name: making.pickled(estimator) for name, estimator in fitted_estimators()}
    return {name: files for name, files in saved.items() if files}


def test_all_of_them_import_what_is_allowed_and_tell_their_version(estimators, artifact: MakeArtifact):
    assert len(estimators) > 250
    for name, files in estimators.items():
        for content, _ in files:
            contents = pickled_contents(artifact(content), runtime="sklearn")

            assert {each.standing for each in contents.imports} == {"allowed"}, (name, contents.imports)
            assert contents.libraries["scikit-learn"].artifact == sklearn.__version__, name
            assert contents.needs == {}, name


def test_a_compressed_file_tells_the_same(estimators, artifact: MakeArtifact):
    for at, files in enumerate(list(estimators.values())[::10]):
        written = io.BytesIO()
        joblib.dump(pickle.loads(files[0][0]), written, compress=COMPRESSIONS[at % len(COMPRESSIONS)])

        compressed = pickled_contents(artifact(written.getvalue()), runtime="sklearn")

        assert {each.standing for each in compressed.imports} == {"allowed"}
        assert compressed.format == "joblib"
        assert compressed.unpacked_bytes > 0


def test_the_list_of_this_release_can_be_made_again(estimators):
    path = making.FOLDER / f"sklearn-{making.RELEASE}.txt"

    assert making.listed(making.allowed_names([*chain(*estimators.values())])) == path.read_text()


def test_a_bomb_is_refused_while_it_unpacks(artifact: MakeArtifact):
    bomb = gzip.compress(b"\x80\x04\x8e" + (300_000_000).to_bytes(8, "little") + bytes(300_000_000) + b".")

    with pytest.raises(Exception, match="larger than the 256 MiB") as caught:
        pickled_contents(artifact(bomb), runtime="sklearn")

    assert caught.value.reason.code == "unpacks_too_large"
