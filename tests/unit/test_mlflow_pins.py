import pytest

from workers.host.runtimes.mlflow_pins import told_apart


def test_what_a_model_computes_with_is_needed_in_its_minor_version():
    needs, requirements = told_apart(["scikit-learn==1.9.0", "numpy==2.4.1"], {"scikit-learn": None})

    assert needs == {"scikit-learn": "1.9.0", "numpy": "2.4.1"}
    assert requirements == []


def test_the_file_knows_its_version_better_than_the_list():
    needs, _ = told_apart(["scikit_learn==1.9.0"], {"scikit-learn": "1.5.2"})

    assert needs == {"scikit-learn": "1.5.2"}


def test_what_only_carries_the_model_may_have_any_version():
    assert told_apart(["cloudpickle==2.0.0", "pyarrow==14.0.1"], {}) == ({}, [])


def test_the_library_of_the_file_is_no_requirement_beside_it():
    assert told_apart(["xgboost==3.2.0"], {"xgboost": "3.2.0"}) == ({"xgboost": "3.2.0"}, [])


@pytest.mark.parametrize(
    "line", ["humanize==4.9.0", "numpy>=2", "numpy==2.*", "pandas", "scipy==1.1; python_version<'4'"]
)
def test_other_lines_are_taken_at_their_word(line):
    assert told_apart([line], {}) == ({}, [line])
