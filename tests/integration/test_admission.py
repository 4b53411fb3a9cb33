"""What is let in: uploads judged by a real predict worker, under each setting."""

import gzip
import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import cloudpickle
import msgspec
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from shared.catalog.service import verdict_of
from shared.catalog.verdict import Verdict

PAGE = (Path(__file__).parents[2] / "docs/reference/verdict.md").read_text()
EXAMPLES = [msgspec.json.decode(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def model() -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])


class Touches:
    """Makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self):
        return os.mkdir, (self._path,)


def unfamiliar() -> bytes:
    """A model with a function of its owner's, which nobody vouches for."""
    cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["_"]))

    def shifted(X):
        return np.asarray(X) + 1

    return cloudpickle.dumps(
        make_pipeline(FunctionTransformer(shifted), model()).fit([[0.0], [1.0]], [0.0, 1.0])
    )


async def judged(uploads, name: str, content: object) -> Verdict:
    return verdict_of(await uploads.add(name, content))


async def test_by_default_all_is_opened_but_what_is_dangerous(predict_workers, uploads, tmp_path):
    await predict_workers.start()
    mark = tmp_path / "it_ran"

    plain = await judged(uploads, "plain", model())
    dangerous = await judged(uploads, "dangerous", {"model": model(), "more": Touches(mark)})
    odd = await judged(uploads, "odd", unfamiliar())

    assert {each.standing for each in plain.imports} == {"allowed"}
    assert (plain.status, plain.warnings, plain.imports_count) == ("ready", [], len(plain.imports))
    assert dangerous.reason.code == "dangerous_import"
    assert dangerous.imports[0].name == "mkdir"
    assert not mark.exists()
    assert odd.status == "ready"
    assert any("cloudpickle" in warning for warning in odd.warnings)


async def test_where_only_plain_models_are_opened_others_are_refused(predict_workers, uploads):
    await predict_workers.start(pickles="allowlisted")

    assert (await judged(uploads, "plain", model())).status == "ready"
    assert (await judged(uploads, "odd", unfamiliar())).reason.code == "import_not_allowed"


async def test_where_no_pickle_is_opened_all_are_refused(predict_workers, uploads):
    await predict_workers.start(pickles="refused")

    assert (await judged(uploads, "plain", model())).reason.code == "pickle_refused"


def in_mlflow(fitted: object) -> bytes:
    """A folder of MLflow with the pickle in it."""
    lines = [
        "flavors:",
        "  sklearn:",
        "    pickled_model: model.pkl",
        f"    sklearn_version: {sklearn.__version__}",
    ]
    return zipped(MLmodel="\n".join(lines), **{"model.pkl": pickle.dumps(fitted)})


def zipped(**files: str | bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"model/{name}", text)
    return content.getvalue()


async def test_a_pickle_in_a_folder_is_a_pickle(predict_workers, uploads):
    await predict_workers.start(pickles="refused")

    assert (await judged(uploads, "folder", in_mlflow(model()))).reason.code == "pickle_refused"


async def test_code_that_no_list_tells_is_refused_where_lists_decide(predict_workers, uploads):
    await predict_workers.start(pickles="allowlisted")
    own = zipped(**{"model.py": "class Model:\n    def predict(self, rows):\n        return rows\n"})

    assert (await judged(uploads, "folder", in_mlflow(model()))).status == "ready"
    assert (await judged(uploads, "own", own)).reason.code == "code_refused"


async def test_where_anything_is_opened_the_verdict_warns(predict_workers, uploads):
    await predict_workers.start(pickles="any")
    fitted = model()
    fitted.extra = FunctionTransformer(eval)

    verdict = await judged(uploads, "reckless", fitted)

    assert verdict.status == "ready"
    assert any("eval" in warning for warning in verdict.warnings)


async def test_what_unpacks_to_too_much_is_refused(predict_workers, uploads):
    await predict_workers.start(unpacked_max_bytes=1_000_000)
    large = gzip.compress(pickle.dumps({"zeros": bytes(2_000_000)}))

    assert (await judged(uploads, "bomb", large)).reason.code == "unpacks_too_large"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_page_on_verdicts_shows_what_verdicts_have(example):
    verdict = msgspec.convert(example, Verdict)

    assert set(example) == set(Verdict.__struct_fields__)
    assert verdict.told


async def test_the_page_on_verdicts_tells_what_is_told(predict_workers, uploads):
    await predict_workers.start()

    ready = await judged(uploads, "ready", model())
    rejected = await judged(uploads, "rejected", {"model": model(), "more": Touches(Path("/nowhere/at/all"))})

    for verdict, example in zip((ready, rejected), EXAMPLES, strict=True):
        assert (verdict.status, verdict.format, verdict.runtime) == (
            example["status"],
            example["format"],
            example["runtime"],
        )
        assert [_words(told) for told in verdict.told] == [_words(told) for told in example["told"]]
        assert msgspec.to_builtins(verdict.reason) == example["reason"]
        assert msgspec.to_builtins(verdict.imports) == example["imports"]
        assert msgspec.to_builtins(verdict.signature) == example["signature"]


def _words(sentence: str) -> str:
    """Without numbers, which vary."""
    return re.sub(r"[\d.,]+( [KM]iB)?", "#", sentence)
