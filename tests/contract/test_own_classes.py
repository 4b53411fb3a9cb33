"""Python classes of an author's own, in zip archives. Expected values are worked by hand."""

import json
import zipfile
from pathlib import Path

import pytest

from workers.hosting.call import PredictCall
from workers.hosting.errors import ModelFailed
from workers.hosting.process import HostProcess

POSTAGE = """
import json
from pathlib import Path


class Model:
    inputs = {"country": "text", "grams": "integer", "express": "boolean"}

    def __init__(self, folder: Path):
        self.prices = json.loads((folder / "prices.json").read_text())

    def predict(self, rows):
        return [self.price(**row) for row in rows]

    def price(self, country, grams, express):
        if grams is None:
            return -1.0
        return self.prices[country] * grams + (10 if express else 0)
"""
PRICES = json.dumps({"de": 0.5, "fr": 0.25, "": 1.0})


def zipped(path: Path, **files: str) -> Path:
    """A zip archive; `__` in a name stands for a slash, `_py` and the like for a suffix."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            archive.writestr(f"{stem.replace('__', '/')}.{suffix}", content)
    return path


@pytest.fixture
def pack(tmp_path):
    return lambda **files: zipped(tmp_path / "model.zip", **files)


def predict(host: HostProcess, *columns: list, outputs: tuple[str, ...] = ("label",)) -> dict:
    host.submit(PredictCall(rows=len(columns[0]), outputs=outputs, columns=columns))
    return host.receive(timeout_s=30).outputs


def model(body: str, *lines: str) -> str:
    """A module with a class whose `predict` is `body`."""
    return "\n".join([*lines, "class Model:", "    def predict(self, rows):", f"        {body}"])


def outputs(verdict) -> list[tuple[str, str, list[int]]]:
    return [(output.name, output.datatype.value, output.shape) for output in verdict.signature.outputs]


def test_a_class_answers_rows_with_what_it_read_from_its_folder(open_model, pack):
    path = pack(model_py=POSTAGE, prices_json=PRICES)

    host, verdict = open_model(path)

    assert verdict.status == "ready", verdict.reason
    assert (verdict.format, verdict.runtime, verdict.estimator) == ("python", "python", "model.Model")
    assert [(c.name, c.datatype.value) for c in verdict.signature.inputs] == [
        ("country", "BYTES"),
        ("grams", "INT64"),
        ("express", "BOOL"),
    ]
    assert outputs(verdict) == [("label", "FP64", [])]
    answers = predict(host, ["de", "fr", "de"], [100, 100, None], [False, True, False])
    assert answers == {"label": [50.0, 35.0, -1.0]}
    host, _ = open_model(path, probe=False, signature=verdict.signature)
    assert predict(host, ["fr"], [8], [False]) == {"label": [2.0]}


def test_a_folder_names_another_class_and_what_it_takes(open_model, pack):
    toml = 'entry = "pricing.core:Postage"\n[inputs]\nx = "number"\n[outputs]\nlabel = "number"\n'
    core = "from pricing.factors import TWO\nclass Postage:\n def load(self): self.by = TWO\n"
    core += " def predict(self, rows): return [int(self.by * row['x']) for row in rows]\n"

    host, verdict = open_model(
        pack(box__modelyard_toml=toml, box__pricing__core_py=core, box__pricing__factors_py="TWO = 2\n")
    )

    assert verdict.status == "ready", verdict.reason
    assert verdict.estimator == "pricing.core.Postage"
    assert outputs(verdict) == [("label", "FP64", [])]
    assert predict(host, [1.5, 2.0]) == {"label": [3.0, 4.0]}


def test_dicts_are_several_outputs(open_model, pack):
    answer = "{'sum': row['a'] + row['b'], 'both': [row['a'], row['b']], 'said': str(row)}"
    body = f"return [{answer} for row in rows]"

    host, verdict = open_model(pack(model_py=model(body), example_json='{"a": 1, "b": 2}'))

    assert verdict.status == "ready", verdict.reason
    assert outputs(verdict) == [("label", "INT64", []), ("both", "INT64", [2]), ("said", "BYTES", [])]
    assert predict(host, [1], [2], outputs=("label", "both", "said")) == {
        "label": [3],
        "both": [[1, 2]],
        "said": ["{'a': 1, 'b': 2}"],
    }


def test_a_sample_tells_of_the_columns_too(open_model, pack, tmp_path):
    (tmp_path / "rows.csv").write_text("size,name\n1.5,a\n2.5,b\n")

    host, verdict = open_model(
        pack(model_py=model("return [row['name'] for row in rows]")), sample=tmp_path / "rows.csv"
    )

    assert [(c.name, c.datatype.value, c.example) for c in verdict.signature.inputs] == [
        ("size", "FP64", 1.5),
        ("name", "BYTES", "a"),
    ]
    assert predict(host, [1.0], ["z"]) == {"label": ["z"]}


def test_an_error_is_told_by_the_authors_own_line(open_model, pack):
    host, _ = open_model(pack(model_py=POSTAGE, prices_json=PRICES))

    with pytest.raises(ModelFailed) as failed:
        predict(host, ["atlantis"], [1], [False])

    assert str(failed.value) == "ModelError: model.py, line 18: KeyError: 'atlantis'"


@pytest.mark.parametrize(
    ("files", "code", "told"),
    [
        ({"model_py": "class Model:\n  def predict(self rows): pass"}, "code_failed", "model.py, line 2"),
        ({"model_py": "import json\nimport surely_not_there"}, "library_missing", "model.py, line 2"),
        ({"model_py": "x = 1 / 0"}, "code_failed", "importing it: model.py, line 1: ZeroDivisionError"),
        ({"model_py": "import sys\nsys.exit()"}, "code_failed", "model.py, line 2"),
        ({"model_py": "def predict(rows): pass"}, "class_missing", "0 classes"),
        ({"model_py": "class Model: pass"}, "class_without_predict", "Model has no `predict`"),
        ({"model_py": model("return rows")}, "inputs_unknown", "does not say which columns"),
        (
            {"model_py": model("return [1]"), "example_json": '[{"a": 1}, {"a": 2}]'},
            "probe_failed",
            "answered 1 rows where 2 were given",
        ),
        (
            {"model_py": model("return [object() for row in rows]"), "example_json": '{"a": 1}'},
            "output_unsupported",
            "other things than numbers",
        ),
        ({"modelyard_toml": 'entry = "other:Model"'}, "declaration_unfit", "no module other.py"),
        ({"modelyard_toml": "entry = other"}, "declaration_unfit", "is not understood"),
        ({"model_py": POSTAGE, "example_json": '{"a": [1]}'}, "declaration_unfit", "is not a row"),
        ({"modelyard_toml": 'entry = "json:Model"', "json_py": ""}, "module_name_taken", "'json'"),
        ({"model_py": POSTAGE, "requirements_txt": "-r other.txt"}, "requirements_invalid", "'-r other.txt'"),
        ({"model_py": POSTAGE, "requirements_txt": "a @ https://a.b/c"}, "requirements_invalid", "'a @ "),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(open_model, pack, files, code, told):
    _, verdict = open_model(pack(**files))

    assert (verdict.status, verdict.reason.code) == ("rejected", code), verdict.reason
    assert told in verdict.reason.message


@pytest.mark.parametrize("name", ["../model.py", "/model.py", "a/../../b.py"])
def test_a_name_that_leads_out_of_the_archive_is_refused(open_model, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.py", POSTAGE)
        archive.writestr(name, "evil")

    _, verdict = open_model(tmp_path / "model.zip")

    assert verdict.reason.code == "archive_unsafe"


def test_a_link_in_the_archive_is_refused(open_model, tmp_path):
    link = zipfile.ZipInfo("prices.json")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.py", POSTAGE)
        archive.writestr(link, "/etc/passwd")

    _, verdict = open_model(tmp_path / "model.zip")

    assert "is a link" in verdict.reason.message


def test_an_archive_that_unpacks_to_much_more_is_refused(open_model, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.py", POSTAGE)
        with archive.open("zeros.bin", "w") as zeros:
            for _ in range(300):
                zeros.write(bytes(1 << 20))

    _, verdict = open_model(tmp_path / "model.zip", unpacked_bytes=1 << 40)

    assert verdict.reason.code == "unpacks_too_large"


def test_an_archive_of_more_files_than_a_host_may_keep_is_refused(open_model, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.py", POSTAGE)
        for number in range(5000):
            archive.writestr(f"rows/{number}", "")

    _, verdict = open_model(tmp_path / "model.zip")

    assert verdict.reason.code == "unpacks_too_large"


def test_an_output_keeps_the_type_that_it_had_at_upload(open_model, pack):
    host, verdict = open_model(
        pack(
            model_py=model("return [row['x'] // 1 if row['x'] > 1 else 0 for row in rows]"),
            modelyard_json='{"inputs": {"x": "number"}, "outputs": {"label": "integer"}}',
        )
    )

    assert outputs(verdict) == [("label", "INT64", [])]
    answers = predict(host, [2.5])
    assert answers == {"label": [2]}
    assert isinstance(answers["label"][0], int)
