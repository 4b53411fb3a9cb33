"""Passwords are checked beside all else, and no more of them at once than can be soon."""

import asyncio
import os
import sys
import threading

import pytest

from shared.access import passwords
from shared.access.passwords import MOST_AT_ONCE, PasswordHasher, PasswordsBusy


@pytest.fixture
def hasher():
    hasher = PasswordHasher()
    yield hasher
    hasher.close()


@pytest.fixture
def held(monkeypatch):
    """Every check waits until this is set: what bcrypt takes a fifth of a second for."""
    released = threading.Event()

    def check(given, expected):  # noqa: ARG001  bcrypt's signature
        return released.wait(10)

    monkeypatch.setattr(passwords.bcrypt, "checkpw", check)
    yield released
    released.set()


async def test_one_too_many_is_refused_at_once_and_told_when_to_come_back(hasher, held):
    taken_on = [asyncio.create_task(hasher.matches("a", None)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)

    with pytest.raises(PasswordsBusy) as refused:
        await hasher.matches("a", None)

    assert refused.value.retry_after_s >= 1
    held.set()
    assert await asyncio.gather(*taken_on) == [False] * MOST_AT_ONCE
    assert await hasher.matches("a", None) is False  # there is room again


async def test_those_who_leave_make_room(hasher, held):
    taken_on = [asyncio.create_task(hasher.matches("a", None)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)

    for task in taken_on:
        task.cancel()
    await asyncio.gather(*taken_on, return_exceptions=True)

    hasher.check_room()
    held.set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
async def test_the_threads_give_way_to_the_event_loop(hasher):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()

    assert await hasher._in_thread(niceness) > before
    assert niceness() == before
