"""Models of every format, written by their own libraries, on the platform as its users meet it.

Environments are the platform's own work, for the models as for their training.
"""

import io
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.environments import held_with, run, skip_where_unreachable
from tests.fixtures.formats import arrow_stream, parquet

SCRIPT = Path(__file__).parents[1] / "fixtures" / "every_format.py"
WAIT_S = 300
OURS = Path(sys.executable)

# Formats by the library whose environment trains them; None: the tests' own.
FORMATS = {
    None: ("onnx", "skops", "xgboost", "lightgbm"),
    "catboost": ("catboost",),
    "mlflow-skinny": ("mlflow",),
    "torch": ("pt2", "torchscript", "images"),
    "tensorflow": ("keras", "savedmodel"),
}
# What the verdict calls each, and the library of an environment of its own, where it needs one.
TOLD = {
    "onnx": ("onnx", None),
    "skops": ("skops", None),
    "xgboost": ("xgboost-json", None),
    "lightgbm": ("lightgbm-text", None),
    "mlflow": ("mlflow", None),
    "catboost": ("catboost-cbm", "catboost"),
    "pt2": ("pt2", "torch"),
    "torchscript": ("torchscript", "torch"),
    "keras": ("keras", "keras"),
    "savedmodel": ("savedmodel", "tensorflow"),
}
SIZES = """
import humanize

class Model:
    inputs = {"bytes": "integer"}

    def predict(self, rows):
        return [humanize.naturalsize(row["bytes"]) for row in rows]
"""


class Trained(msgspec.Struct, frozen=True):
    """A model's file, and what its library answers to what it is asked."""

    path: Path
    asked: np.ndarray
    answers: np.ndarray


class User:
    """Somebody with an account."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=f"{base_url}/api/v1", timeout=120)
        who = {"email": "formats@example.com", "password": "SecureP@ss123"}
        self.http.post("/auth/register", json=who | {"full_name": "Formats"}).raise_for_status()
        token = self.http.post("/auth/login", json=who).raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def uploads(self, name: str, content: bytes, **files: tuple[str, bytes]) -> dict[str, Any]:
        """The version of a model that is ready."""
        sent = self.http.post(
            "/models/upload",
            data={"name": name},
            files={"file": ("model", content), **files},
            headers={"Prefer": "wait=60"},
        )
        assert sent.status_code == 201, sent.text
        version = sent.json()["version"]
        deadline = time.monotonic() + WAIT_S
        while version["status"] == "validating":
            assert time.monotonic() < deadline
            time.sleep(0.2)
            version = self.http.get(f"/models/{name}/versions/{version['number']}").json()
        if version["status"] == "rejected":
            skip_where_unreachable(version["reason"]["message"])
        assert version["status"] == "ready", version["reason"]
        return version

    def predicts(self, name: str, row: Any) -> Any:
        """The prediction for a row."""
        answer = self.http.post(f"/predict/{name}", json={"input": row})
        assert answer.status_code == 200, answer.text
        return answer.json()["prediction"]

    def predicts_file(self, name: str, table: pa.Table) -> list[Any]:
        """The predictions of a job."""
        files = {"file": ("rows.parquet", parquet(table))}
        sent = self.http.post("/jobs", data={"model": name, "include": "none"}, files=files)
        assert sent.status_code == 202, sent.text
        job = sent.json()
        deadline = time.monotonic() + WAIT_S
        while job["status"] not in {"succeeded", "failed"}:
            assert time.monotonic() < deadline
            job = self.http.get(f"/jobs/{job['id']}", params={"wait": 5}).json()
        assert job["status"] == "succeeded", job["error"]
        result = pq.read_table(io.BytesIO(self.http.get(f"/jobs/{job['id']}/result").content))
        columns = [column.to_pylist() for column in result.columns]  # `prediction`, or one for each number
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def user(platform) -> Iterator[User]:
    user = User(platform.base_url)
    yield user
    user.http.close()


@pytest.fixture(scope="module")
async def pythons():
    """The Python that trains with a library."""
    async with AsyncExitStack() as stack:
        held: dict[str | None, Path] = {None: OURS}

        async def python(library: str | None) -> Path:
            if library not in held:
                held[library] = (await stack.enter_async_context(held_with(library))).python
            return held[library]

        yield python


@pytest.fixture(scope="module")
def trained(pythons, tmp_path_factory):
    """Models of one library, trained once."""
    known: dict[str, Trained] = {}
    folder = tmp_path_factory.mktemp("formats")

    async def train(name: str) -> Trained:
        if name not in known:
            library, names = next(item for item in FORMATS.items() if name in item[1])
            told = json.loads(run(await pythons(library), SCRIPT, str(folder), *names))
            for one in names:
                asked = np.array(told["images" if one == "images" else "rows"])
                known[one] = Trained(folder / one, asked, np.array(told["answers"][one]))
        return known[name]

    return train


def table_of(version: dict[str, Any], rows: np.ndarray) -> pa.Table:
    names = [column["name"] for column in version["verdict"]["signature"]["inputs"]]
    return pa.table(dict(zip(names, rows.T.tolist(), strict=True)))


@pytest.mark.parametrize("name", TOLD)
async def test_a_model_answers_as_its_own_library_does(user, trained, name):
    model = await trained(name)
    form, library = TOLD[name]
    files = {}
    if name == "torchscript":  # which does not say what it takes
        lines = ["a,b,c,d", *(",".join(map(str, row)) for row in model.asked.tolist())]
        files["sample"] = ("rows.csv", "\n".join(lines).encode())

    version = user.uploads(name, model.path.read_bytes(), **files)
    one = user.predicts(name, model.asked[0].tolist())
    many = user.predicts_file(name, table_of(version, model.asked))

    environment = version["verdict"]["environment"]
    assert version["verdict"]["format"] == form
    assert (environment["id"] is None) is (library is None)
    assert library is None or any(package.startswith(library) for package in environment["packages"])
    np.testing.assert_allclose(one, model.answers[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(many, model.answers, rtol=1e-5, atol=1e-6)


def test_a_class_of_ones_own_has_the_libraries_that_it_lists(user):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sizes/model.py", SIZES)
        archive.writestr("sizes/requirements.txt", "humanize==4.9.0\n")

    version = user.uploads("sizes", file.getvalue())

    assert version["verdict"]["environment"]["packages"]["humanize"] == "4.9.0"
    assert user.predicts("sizes", {"bytes": 2_000_000}) == "2.0 MB"
    assert user.predicts_file("sizes", pa.table({"bytes": [1000, 2_000_000]})) == ["1.0 kB", "2.0 MB"]


async def test_images_get_the_same_answers_in_every_form(user, trained):
    model = await trained("images")
    version = user.uploads("images", model.path.read_bytes())
    [column] = version["verdict"]["signature"]["inputs"]
    images = model.asked.astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), 64)
    table = pa.table({column["name"]: flat})

    answers = [
        [user.predicts("images", {column["name"]: image.tolist()}) for image in images],
        v2_answer(user, column["name"], images),
        arrow_answer(user, table),
        user.predicts_file("images", table),
    ]

    assert column["shape"] == [1, 8, 8]
    for answer in answers:
        np.testing.assert_allclose(answer, model.answers, rtol=1e-5, atol=1e-6)
    for answer in answers[1:]:  # of all rows in one call, which may differ from single ones in a last bit
        np.testing.assert_array_equal(answer, answers[-1])


def v2_answer(user: User, name: str, images: np.ndarray) -> np.ndarray:
    raw = {"binary_data_size": images.nbytes}
    tensor = {"name": name, "shape": images.shape, "datatype": "FP32", "parameters": raw}
    header = json.dumps({"inputs": [tensor]}).encode()
    answer = user.http.post(
        "/predict/images",
        content=header + images.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
    assert answer.status_code == 200, answer.text
    [output] = answer.json()["outputs"]
    return np.reshape(output["data"], output["shape"])


def arrow_answer(user: User, table: pa.Table) -> list[Any]:
    answer = user.http.post(
        "/predict/images",
        content=arrow_stream(table),
        headers={"Content-Type": "application/vnd.apache.arrow.stream"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]
