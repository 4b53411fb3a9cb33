"""A job that is cancelled while its model is deep in native code, which hears nothing but the end."""

import asyncio
import os
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from shared.jobs.job import JobStatus
from tests.fixtures import endless
from tests.fixtures.jobs import Jobs, ServeModel
from workers.jobs import holding
from workers.jobs.context import JobContext
from workers.jobs.holding import StopSign, hold
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

A_MINUTE_S = 60  # what the model would take, at the least


async def host_at_work(jobs: Jobs, job_id: UUID, before: set[int]) -> psutil.Process:
    """The host that was forked for the job, once it is in the middle of it."""
    await jobs.until(job_id, lambda job: job.status is JobStatus.RUNNING)
    async with asyncio.timeout(30):
        while True:
            for child in psutil.Process(os.getpid()).children(recursive=True):
                if child.pid not in before and child.name().startswith("python"):
                    return child
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("deed", [endless.SLEEP, endless.COMPUTE], ids=["sleeps in C", "computes in C"])
async def test_a_model_in_native_code_is_ended(
    jobs: Jobs, job_context: JobContext, serve_model: ServeModel, *, tmp_path: Path, deed: float
):
    await serve_model("endless", await asyncio.to_thread(endless.saved, tmp_path / "endless.pkl"))
    before = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
    job_id = await jobs.submitted(f"x\n{deed}\n".encode(), model="endless")
    await plan_job(job_context, job_id)
    running = asyncio.create_task(run_chunk(job_context, job_id, 0))
    host = await host_at_work(jobs, job_id, before)
    await asyncio.sleep(1)  # the model is loaded and called: whatever it does now takes a minute

    await jobs.cancel(job_id)
    async with asyncio.timeout(A_MINUTE_S / 2):
        await running

    async with asyncio.timeout(A_MINUTE_S / 4):
        while host.is_running() and host.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)  # it was killed, and the machine is busy
    assert (await jobs.get(job_id)).status is JobStatus.CANCELLED
    (chunk,) = await jobs.chunks(job_id)
    assert (chunk.lease_until, chunk.part_key) == (None, None)


async def test_work_that_does_not_end_when_asked_is_pressed_within_a_second():
    """By the times that are waited, not by the clock."""
    sign, pressed = StopSign(), asyncio.Event()
    sign.press = pressed.set

    async def lost() -> bool:
        return False

    with pytest.raises(holding.Stopped):
        await hold(_until(pressed), renew=lost, sign=sign, is_stopping=lambda: False)

    assert pressed.is_set()
    assert holding.RENEW_S + holding.PRESS_S < 1


async def _until(pressed: asyncio.Event) -> None:
    await pressed.wait()
    raise ConnectionError("killed")
