import pytest

from deploy.local.errors import CannotStart
from deploy.local.procfile import form

ENTRIES = {"release": ["migrate"], "api": ["serve"], "predict": ["work"]}


def test_one_process_of_each_entry_runs_unless_told_otherwise():
    assert form(ENTRIES, "") == {"api": ["serve"], "predict": ["work"]}


@pytest.mark.parametrize("formation", ["predict=2,api=1", "predict=2 api=1", " api=1, predict=2 "])
def test_several_processes_of_an_entry_are_numbered(formation):
    assert form(ENTRIES, formation).keys() == {"api", "predict.1", "predict.2"}


def test_an_entry_can_be_left_out():
    assert form(ENTRIES, "api=0").keys() == {"predict"}


@pytest.mark.parametrize(
    ("formation", "reason"),
    [
        ("predict", "should look like predict=2"),
        ("predict=two", "should look like predict=2"),
        ("predict=-1", "should look like predict=2"),
        ("trainer=1", "names trainer"),
        ("release=2", "names release"),
        ("api=2", "listens on one port"),
    ],
)
def test_a_formation_that_cannot_be_is_refused_with_the_reason(formation, reason):
    with pytest.raises(CannotStart, match=reason):
        form(ENTRIES, formation)
