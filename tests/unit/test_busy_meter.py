"""How much of the last second a version was busy."""

import time

import pytest

from workers.predict.busy_meter import BusyMeter


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_only_the_last_second_counts(clock):
    meter = BusyMeter()
    meter.note(busy=True)
    clock.now = 100.5
    meter.note(busy=False)

    clock.now = 101.25

    assert meter.fraction() == pytest.approx(0.25)


def test_what_still_goes_on_counts(clock):
    meter = BusyMeter()
    meter.note(busy=True)

    clock.now = 100.75

    assert meter.fraction() == pytest.approx(0.75)


def test_to_be_told_twice_is_to_be_told_once(clock):
    meter = BusyMeter()
    meter.note(busy=True)
    clock.now = 100.4
    meter.note(busy=True)
    clock.now = 100.8
    meter.note(busy=False)
    meter.note(busy=False)

    assert meter.fraction() == pytest.approx(0.8)
