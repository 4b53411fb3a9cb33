"""Several API processes on one port: who answers, who is started again, and how all of them end."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import msgspec
import psutil
import pytest

from tests.fixtures.napping import napping_model, row
from tests.fixtures.processes import ROOT, started

SPARE_CONNECTIONS = 40  # enough for the kernel to give each of two processes some


@pytest.fixture(scope="module")
async def nap(serving) -> str:
    """A model that naps as rows ask for; its stream."""
    return await serving.upload("nap", napping_model())


@pytest.fixture
async def two(serving, nap, stack, tmp_path):  # noqa: ARG001  the model must be there
    return await serving.start_api(stack, tmp_path, api_processes=2, drain_s=0.3)


def children(api) -> list[psutil.Process]:
    return psutil.Process(api.process.popen.pid).children()


def ports_of(process: psutil.Process) -> set[int]:
    return {held.raddr.port for held in process.net_connections() if held.raddr}


async def serving_processes(api) -> set[int]:
    """The processes that hold connections, out of many that are opened."""
    lines = [await api.connect() for _ in range(SPARE_CONNECTIONS)]
    for line in lines:
        await line.ask(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ports = {line.writer.get_extra_info("sockname")[1] for line in lines}
    holding = {child.pid for child in children(api) if ports_of(child) & ports}
    for line in lines:
        line.leave()
    return holding


async def predicted(api, number: int) -> bool:
    """Whether a new connection is answered; one that was cut is not."""
    line = await api.connect()
    try:
        answer = await line.ask(api.post("nap", {"input": row(number)}))
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    finally:
        line.leave()
    assert (answer.status, answer.json()["prediction"]) == (200, number)
    return True


async def test_each_process_answers_its_share_of_connections(two):
    pids = {child.pid for child in children(two)}

    assert len(pids) == 2
    assert await serving_processes(two) == pids


async def answered_line(two):
    """A connection that one of the processes has taken, and does not merely wait for it."""
    line = await two.connect()
    assert (await line.ask(two.post("nap", {"input": row(0)}))).status == 200
    return line


async def test_one_that_is_killed_comes_back_while_the_other_goes_on(two):
    doomed, other = children(two)
    line = await answered_line(two)
    while line.writer.get_extra_info("sockname")[1] in ports_of(doomed):
        line = await answered_line(two)

    doomed.kill()
    await two.process.wait_for_log("api process ended")
    for number in range(50):
        assert (await line.ask(two.post("nap", {"input": row(number)}))).status == 200
    await two.process.wait_for_log("Application startup complete", times=3)

    pids = {child.pid for child in children(two)}
    assert other.pid in pids
    assert await serving_processes(two) == pids


async def test_connections_that_come_while_one_is_away_are_answered_all_the_same(two):
    children(two)[0].kill()

    answered = await asyncio.gather(*(predicted(two, number) for number in range(40)))

    assert all(answered)


async def test_one_that_dies_again_and_again_is_started_ever_more_slowly(two):
    for times in range(1, 4):
        children(two)[0].kill()
        await two.process.wait_for_log("api process ended", times=times)
        await two.process.wait_for_log("Application startup complete", times=2 + times)

    pauses = [line for line in two.process.log.read_text().splitlines() if "starts_again_in_s" in line]
    assert len(pauses) == 3
    assert '"exit_code": -9' in pauses[0]


async def test_sigterm_ends_all_and_what_is_under_way_is_answered_first(two, serving, nap):
    pids = [child.pid for child in children(two)]
    lines = [await two.connect() for _ in range(10)]
    for number, line in enumerate(lines):
        await line.send(two.post("nap", {"input": row(number + 0.5, nap_s=1.5)}))
    async with asyncio.timeout(10):
        while not await serving.redis.xlen(nap):
            await asyncio.sleep(0.01)

    two.process.popen.send_signal(signal.SIGTERM)
    answers = [await line.answer() for line in lines]

    assert [answer.json()["prediction"] for answer in answers] == [number + 0.5 for number in range(10)]
    assert await two.process.wait_until_ended() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_who_comes_when_all_of_them_stop_is_refused_at_once(two):
    busy = await two.connect()
    await busy.send(two.post("nap", {"input": row(0.1, nap_s=4)}))
    await asyncio.sleep(0.2)

    two.process.popen.send_signal(signal.SIGTERM)
    await asyncio.sleep(1.5)  # they say for 0.3 s that they are about to stop

    with pytest.raises(ConnectionRefusedError):
        await two.connect()
    assert (await busy.answer()).status == 200


async def test_sigint_ends_all(two):
    two.process.popen.send_signal(signal.SIGINT)

    assert await two.process.wait_until_ended() == 0


async def test_without_their_parent_none_goes_on(two):
    left = children(two)

    two.process.popen.kill()

    _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=20)
    assert alive == []


async def test_a_port_that_is_taken_is_told_plainly(two, serving, tmp_path):
    same = msgspec.structs.replace(serving.settings, port=two.port, api_processes=2)
    with started("api", same, tmp_path / "second.log") as second:
        ended = await second.wait_until_ended()

    assert ended == 1
    assert second.log.read_text() == (
        f"api: port {two.port} on 127.0.0.1 is taken: stop what listens there, or set PORT to another\n"
    )
    assert await predicted(two, 7)


STOPPED_WHILE_IT_STARTS = """
    import os, signal, socket, time
    from api.processes import ApiProcesses

    os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
    ApiProcesses([socket.socket(), socket.socket()], lambda server_socket: time.sleep(60)).run()
"""


async def test_a_signal_that_comes_while_one_is_started_ends_that_one_too():
    script = textwrap.dedent(STOPPED_WHILE_IT_STARTS)

    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], cwd=ROOT, timeout=20, check=False
    )

    assert ended.returncode == 0
