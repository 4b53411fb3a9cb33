import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest

from workers.host.kinds import kind_of
from workers.host.unserved import unserved


def written(write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    def write(file) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return written(write)


def tarred() -> bytes:
    def write(file) -> None:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("model.pkl"))

    return written(write)


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (x)")
    return connection.serialize()


TABLE = pd.DataFrame({"age": [1, 2], "city": ["Oslo", "Rome"]})


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (written(TABLE.to_parquet), "a Parquet table"),
        (written(TABLE.to_feather), "an Arrow table"),
        (TABLE.to_csv(index=False).encode(), "a table in CSV"),
        (written(lambda file: np.save(file, np.zeros(3))), "a NumPy array"),
        (written(lambda file: np.savez(file, a=np.zeros(3))), "a NumPy archive"),
        (database(), "a SQLite database"),
        (tarred(), "a tar archive"),
        (gzip.compress(tarred()), "a tar archive, compressed with gzip"),
        (bz2.compress(b"a,b\n1,2\n"), "a table in CSV, compressed with bzip2"),
        (lzma.compress(b"nothing much"), "plain text, compressed with xz"),
        (b"\x1f\x8b" + b"\xff" * 40, "a damaged gzip file"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
        (zipped("archive/data.pkl"), "a PyTorch file"),
        (zipped("MLmodel", "model.pkl"), "an MLflow model"),
        (zipped("some.txt"), "a zip archive"),
        (zipped(), "a zip archive"),
        (json.dumps({"cells": [], "nbformat": 4}).encode(), "a Jupyter notebook"),
        (b'{"learner": {}}', "an XGBoost model in JSON"),
        (b'{"a": 1}', "JSON text"),
        (b"<!DOCTYPE html><html></html>", "an HTML page"),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', "a PMML model"),
        (b"# train\nimport sklearn\n", "Python code"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS, not the file that it stands for",
        ),
        ("naïve".encode()[:3], "plain text"),
        (b"\x00\x01\x02\xfe", "of no kind that is known here"),
    ],
)
def test_a_file_that_is_no_model_is_named_by_its_content(content, kind):
    assert kind_of(content) == kind


@pytest.mark.parametrize(
    ("kind", "message", "remedy"),
    [
        ("a PNG image", "The file is a PNG image, not a model.", "joblib.dump"),
        ("a zip archive", "The file is a zip archive, not a model.", "the model's own file"),
        ("a tar archive, compressed with gzip", "compressed with gzip, not a model.", "Unpack it"),
        ("a Jupyter notebook", "The file is a Jupyter notebook, not a model.", "Run it"),
        ("a PMML model", "The file is a PMML model, but none that can be opened here.", "ONNX"),
        ("a safetensors file", "not a model.", "no program"),
    ],
)
def test_each_kind_is_told_what_to_do(kind, message, remedy):
    reason = unserved(kind).reason

    assert reason.message.endswith(message)
    assert remedy in reason.remedy
