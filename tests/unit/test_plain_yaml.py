"""The reader of YAML, against PyYAML: what that writes is read as that reads it."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.host.runtimes.plain_yaml import NotPlainYaml, read_yaml

MLMODEL = """
artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
    loader_module: mlflow.sklearn
    python_version: 3.11.2
  sklearn:
    code: null
    sklearn_version: 1.9.1
signature:
  inputs: '[{"type": "double", "name": "sepal length (cm)", "required": true}, {"type":
    "double", "name": "it''s", "required": true}]'
  params: null
dependencies:
- python=3.11.2
- pip:
  - mlflow==3.17.2
  - numpy
utc_time_created: '2026-11-25 23:07:36.234822'
"""

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029\ufeff"), max_size=120)
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts
documents = st.dictionaries(
    st.text("abc_ 'x:-", min_size=1, max_size=8),
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


def test_a_file_of_mlflow_is_read():
    assert read_yaml(MLMODEL) == yaml.safe_load(MLMODEL)


@settings(max_examples=60, deadline=None)
@given(documents)
@example({":": "'\n", "::": None})
@example({"long": "word " * 60, "lines": "a\n\n b\n", "quoted": "'\"\\" * 40})
def test_what_a_program_writes_is_read_alike(document):
    written = yaml.safe_dump(document, default_flow_style=False, allow_unicode=True)

    assert read_yaml(written) == yaml.safe_load(written)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1",
        "a: *x",
        "a: !!python/object:os.system x",
        "a: [1, 2]",
        "a: |\n  x",
        "a: 'x",
        "a: 1\n b",
        "- a\nb: 1",
    ],
)
def test_what_goes_beyond_is_refused_or_read_alike(text):
    try:
        found = read_yaml(text)
    except NotPlainYaml:
        return
    assert found == yaml.safe_load(text)


def test_a_depth_without_end_is_refused():
    with pytest.raises(NotPlainYaml):
        read_yaml("- " * 100 + "x")
