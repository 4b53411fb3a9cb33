"""Passwords are checked beside all else, and no more of them at once than can be soon."""

import asyncio
import os
import sys
import threading

import pytest

from shared.access import passwords
from shared.access.password_queue import MOST_AT_ONCE, RESERVED, SEATS, PasswordQueue, PasswordsBusy
from shared.access.passwords import PasswordHasher


@pytest.fixture
def hasher():
    hasher = PasswordHasher()
    yield hasher
    hasher.close()


@pytest.fixture
def queue():
    queue = PasswordQueue()
    yield queue
    queue.close()


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
    taken_on = [asyncio.create_task(hasher.matches("a", None, reserved=True)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)

    with pytest.raises(PasswordsBusy) as refused:
        await hasher.matches("a", None, reserved=True)

    assert refused.value.retry_after_s >= 1
    held.set()
    assert await asyncio.gather(*taken_on) == [False] * MOST_AT_ONCE
    assert await hasher.matches("a", None) is False  # there is room again


async def test_those_who_leave_make_room(hasher, held):
    taken_on = [asyncio.create_task(hasher.matches("a", None, reserved=True)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)

    for task in taken_on:
        task.cancel()
    await asyncio.gather(*taken_on, return_exceptions=True)

    hasher.check_room("")
    held.set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
async def test_the_threads_give_way_to_the_event_loop(queue):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()

    assert await queue.do(niceness, "", reserved=False) > before
    assert niceness() == before


async def test_known_and_unknown_are_called_by_turns(queue):
    released, called = threading.Event(), []
    running = [asyncio.create_task(queue.do(lambda: released.wait(10), "", reserved=False)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = [
        asyncio.create_task(
            queue.do(lambda who=who: called.append(who), "192.0.2.1", reserved=who == "known")
        )
        for who in ["unknown"] * 4 + ["known"] * 4
    ]
    await asyncio.sleep(0)

    released.set()
    await asyncio.gather(*running, *waiting)

    assert set(called[:2]) == set(called[2:4]) == {"known", "unknown"}


async def test_unknown_ones_leave_room_for_known_ones(queue):
    released = threading.Event()
    tasks = [
        asyncio.create_task(queue.do(lambda: released.wait(10), f"10.0.{n}.1", reserved=False))
        for n in range(MOST_AT_ONCE)
    ]
    await asyncio.sleep(0)

    refused = [task for task in tasks if task.done()]
    room = queue.has_room("192.0.2.1", reserved=False), queue.has_room("192.0.2.1", reserved=True)

    assert (len(refused), room) == (RESERVED, (False, True))
    released.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, PasswordsBusy) for answer in answers) == RESERVED


async def test_who_has_many_seats_gives_one_up_and_is_told(queue):
    released = threading.Event()
    tasks = [
        asyncio.create_task(queue.do(lambda: released.wait(10), "10.0.0.1", reserved=False))
        for n in range(SEATS + 2)
    ]
    await asyncio.sleep(0)

    newcomer = asyncio.create_task(queue.do(lambda: "in", "192.0.2.1", reserved=False))
    await asyncio.sleep(0)

    with pytest.raises(PasswordsBusy):
        await tasks[-1]  # the last of whoever has most
    released.set()
    assert await newcomer == "in"
    assert all(await asyncio.gather(*tasks[:-1]))
