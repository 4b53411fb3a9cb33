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


def test_of_many_short_spells_only_those_of_the_last_second_count(clock):
    meter = BusyMeter()
    for number in range(3000):
        clock.now = 100 + number / 1000
        meter.note(busy=True)
        clock.now += 0.00025
        meter.note(busy=False)

    assert meter.fraction() == pytest.approx(0.25, abs=0.001)
    clock.now += 0.5
    assert meter.fraction() == pytest.approx(0.125, abs=0.001)
    clock.now += 10
    assert meter.fraction() == 0


def test_a_long_spell_counts_by_its_part_in_the_window_and_so_does_the_next(clock):
    meter = BusyMeter()
    meter.note(busy=True)
    clock.now = 105.0
    meter.note(busy=False)
    clock.now = 105.25
    meter.note(busy=True)

    clock.now = 105.5

    assert meter.fraction() == pytest.approx(0.75)
