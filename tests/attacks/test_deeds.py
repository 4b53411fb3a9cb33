"""Models that attack while they are opened, and while they are asked."""

import inspect
from types import ModuleType

import pytest

from tests.attacks.deeds import (
    answers,
    frames,
    kernel,
    network,
    processes,
    reading,
    resources,
    scratch,
    slots,
    time_spent,
    verdicts,
    writing,
)
from tests.attacks.estimator import REACHED

HELPERS = {
    "answer_to", "arrays", "send",
    "processes", "descriptors_of", "open_descriptors", "memory_of", "read", "found_in", "call",
    "first_that_works",
}  # fmt: skip


def deeds(module: ModuleType) -> list:
    """The functions of a module that are deeds, by name."""
    return [
        pytest.param(member, id=f"{module.__name__.rpartition('.')[2]}-{name}")
        for name, member in vars(module).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and name not in HELPERS
        and member.__module__ == module.__name__
    ]


@pytest.mark.parametrize(
    "deed",
    [
        *deeds(processes),
        *deeds(kernel),
        *deeds(network),
        *deeds(reading),
        *deeds(writing),
        *deeds(scratch),
        *deeds(resources),
    ],
)
def test_a_model_gets_nothing_when_it_is_asked(attack, deed):
    told = attack.at_predict(deed)

    assert REACHED in told.heard


@pytest.mark.parametrize("deed", deeds(time_spent))
def test_a_model_that_does_not_come_to_an_end_is_ended(attack, deed):
    told = attack.at_predict(deed, call_timeout_s=0.5)

    assert REACHED in told.heard


@pytest.mark.parametrize("deed", deeds(answers))
def test_a_strange_answer_harms_nobody(attack, deed):
    told = attack.answering(deed)

    assert REACHED in told.heard


@pytest.mark.parametrize("deed", deeds(frames))
def test_a_model_that_speaks_for_its_host_is_ended(attack, deed):
    told = attack.at_predict(deed, call_timeout_s=1.0, calls=2)

    assert REACHED in told.heard


@pytest.mark.parametrize("deed", deeds(slots))
def test_shared_memory_is_no_way_to_harm(attack, deed):
    told = attack.at_predict(deed, call_timeout_s=2.0, calls=4, large=True)

    assert REACHED in told.heard


@pytest.mark.parametrize("large", [False, True], ids=["a row", "many rows"])
@pytest.mark.parametrize("deed", deeds(verdicts))
def test_a_forged_verdict_harms_nobody(attack, deed, large):
    told = attack.at_load(deed, probe=True, load_timeout_s=5.0, call_timeout_s=1.0, large=large)

    assert REACHED in told.heard
