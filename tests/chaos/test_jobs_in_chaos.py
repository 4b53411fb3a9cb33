"""Jobs while everything that works on them is killed, held still and started again, as a seed has it.

Whatever happens: every job ends in its
right state, its output has exactly the right rows in order, and its end is told.
"""

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from standardwebhooks import Webhook

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.errors import JobEnded
from shared.jobs.job import ErrorsFormat, JobStatus, errors_part_key
from shared.jobs.view import JobView
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.listing import read_secret
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.chaos import JOB_ROLES, SEEDS, Chaos, Fleet, deeds_of
from tests.fixtures.jobs import Jobs, ServeModel
from tests.fixtures.mortal_servers import MortalServers
from tests.fixtures.slow import COLUMNS, save_slow_model
from tests.fixtures.touchy import RAISES, saved
from tests.fixtures.webhooks import Receiver
from workers.orphans import OrphanSweep

DEEDS = 14
CALM_S = 150  # that all of it may take after the last deed


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        fleet = Fleet(settings, tmp_path, stack)
        for role in JOB_ROLES:
            fleet.start(role)
        yield fleet


class Batch:
    """The jobs of one run, and what must become of each."""

    def __init__(self, jobs: Jobs, receiver: Receiver, seed: int) -> None:
        self._jobs, self._receiver = jobs, receiver
        self._chance = np.random.default_rng(seed)
        self.ids: dict[str, UUID] = {}
        self._rows: dict[str, pd.DataFrame] = {}

    async def submit(self) -> None:
        """One of each kind."""
        for name in ("parquet", "csv", "cancelled"):
            self._rows[name] = self._numbers()
        for name in ("skipping", "refused"):
            self._rows[name] = self._touchy_numbers()
        await self._send("parquet", _parquet(self._rows["parquet"]), model="slow")
        await self._send(
            "csv", self._rows["csv"].to_csv(index=False).encode(), model="slow", output_format="parquet"
        )
        await self._send("cancelled", _parquet(self._rows["cancelled"]), model="slow")
        await self._send(
            "skipping", self._rows["skipping"].to_csv(index=False).encode(), model="touchy", on_error="skip"
        )
        await self._send("refused", _parquet(self._rows["refused"]), model="touchy")

    async def until_under_way(self) -> None:
        """The processes are up, and work."""
        await self._jobs.until(self.ids["parquet"], lambda job: job.rows.done > 0, timeout_s=CALM_S)

    async def cancel_one(self, after_s: float) -> None:
        """Ask for it until somebody hears it."""
        await asyncio.sleep(after_s)
        while True:
            with suppress(JobEnded):
                try:
                    await self._jobs.cancel(self.ids["cancelled"])
                except (OSError, SQLAlchemyError):
                    await asyncio.sleep(0.1)
                    continue
            return

    async def ended(self, name: str) -> JobView:
        return await self._jobs.ended(self.ids[name], timeout_s=CALM_S)

    async def check_everything(self) -> None:
        """What each has come to."""
        await self._check_sums("parquet")
        await self._check_sums("csv")
        cancelled = await self.ended("cancelled")
        if cancelled.status is JobStatus.SUCCEEDED:  # it was quicker
            await self._check_sums("cancelled")
        else:
            assert cancelled.status is JobStatus.CANCELLED
        await self._check_skipping()
        await self._check_refused()

    async def _check_sums(self, name: str) -> None:
        job, rows = await self.ended(name), self._rows[name]
        assert job.status is JobStatus.SUCCEEDED, (name, job.error)
        assert (job.rows.total, job.rows.done, job.rows.failed) == (len(rows), len(rows), 0)
        output = pq.read_table(io.BytesIO(await self._content(name))).to_pandas()
        assert output.pop("prediction").tolist() == rows.to_numpy().sum(axis=1).tolist()
        pd.testing.assert_frame_equal(output, rows)

    async def _check_skipping(self) -> None:
        job, rows = await self.ended("skipping"), self._rows["skipping"]
        assert job.status is JobStatus.SUCCEEDED, job.error
        bad = rows.index[rows["x0"] == RAISES]
        good = rows.drop(bad).reset_index(drop=True)
        assert (job.rows.done, job.rows.failed) == (len(good), len(bad))
        output = pd.read_csv(io.BytesIO(await self._content("skipping")))
        assert output.pop("prediction").tolist() == (good["x0"] * 2).tolist()
        pd.testing.assert_frame_equal(output, good)
        lines = (await self._jobs.errors(self.ids["skipping"], ErrorsFormat.JSONL)).splitlines()
        assert [json.loads(line)["row"] for line in lines] == bad.tolist()

    async def _check_refused(self) -> None:
        job, rows = await self.ended("refused"), self._rows["refused"]
        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert job.error.row in rows.index[rows["x0"] == RAISES]

    async def _content(self, name: str) -> bytes:
        content = await self._jobs.result(self.ids[name])
        row = await self._jobs.row(self.ids[name])
        assert hashlib.sha256(content).hexdigest() == row.result_digest
        return content

    async def _send(self, name: str, content: bytes, **form: str) -> None:
        self.ids[name] = await self._jobs.submitted(content, callback_url=self._receiver.url, **form)

    def _numbers(self) -> pd.DataFrame:
        rows = int(self._chance.integers(40_000, 60_000))
        return pd.DataFrame(self._chance.normal(size=(rows, len(COLUMNS))), columns=list(COLUMNS))

    def _touchy_numbers(self) -> pd.DataFrame:
        rows = int(self._chance.integers(5_000, 20_000))
        table = pd.DataFrame({"id": np.arange(rows), "x0": np.arange(rows, dtype=float), "x1": 0.5})
        table.loc[self._chance.choice(rows, 5, replace=False), "x0"] = RAISES
        return table


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_job_ends_right_and_its_end_is_told(
    seed: int,
    fleet: Fleet,
    servers: MortalServers,
    *,
    jobs: Jobs,
    serve_model: ServeModel,
    receiver: Receiver,
    settings: Settings,
    database: Database,
    storage: Storage,
    caller: Caller,
    tmp_path: Path,
):
    await serve_model("slow", save_slow_model(tmp_path / "slow.pkl"))
    await serve_model("touchy", saved(tmp_path / "touchy.pkl"))
    batch = Batch(jobs, receiver, seed)
    await batch.submit()
    await batch.until_under_way()

    async with asyncio.TaskGroup() as group:
        group.create_task(Chaos(fleet, servers).reign(deeds_of(seed, DEEDS, lease_s=settings.lease_s)))
        group.create_task(batch.cancel_one(after_s=5 * np.random.default_rng(seed).random()))

    await batch.check_everything()
    await check_deliveries(database, receiver, settings, tenant_id=caller.tenant_id, ids=batch.ids.values())
    await check_nothing_is_left(
        jobs, batch, lambda: OrphanSweep(database, storage, older_than=timedelta(seconds=-60))
    )
    assert fleet.ended_by_themselves() == []


async def check_deliveries(database, receiver, settings, *, tenant_id, ids) -> None:
    """The receiver was told the end of each, by its right name; more than once is allowed."""
    missing = set(map(str, ids))
    async with database.transaction() as session:
        secret = Webhook(await read_secret(session, tenant_id, settings))
    async with asyncio.timeout(60):
        while True:
            told = [secret.verify(one.body, one.headers) for one in list(receiver.received)]
            if not missing - {one["data"]["id"] for one in told}:
                break
            await hurry(database)
            await asyncio.sleep(0.2)
    for one in told:
        assert one["type"] == f"job.{one['data']['status']}"


async def hurry(database: Database) -> None:
    """Nobody waits five minutes for the third attempt at what a killed worker had in hand."""
    async with database.transaction() as session:
        waits = (DeliveryRow.status == "pending") & (DeliveryRow.attempts > 1)
        await session.execute(
            update(DeliveryRow)
            .where(waits)
            .values(next_attempt_at=DeliveryRow.next_attempt_at - timedelta(days=1))
        )


async def check_nothing_is_left(jobs: Jobs, batch: Batch, new_sweep: Callable[[], OrphanSweep]) -> None:
    """Of every job storage holds what its rows name: no part of a claim that was lost.

    One that has not succeeded keeps what was finished, for a retry to go on from. What a worker writes after
    the end, as it does not know of it yet, it removes itself; if it dies before that, the sweep of orphans.
    """
    for job_id in batch.ids.values():
        async with asyncio.timeout(60):
            while (row := await jobs.row(job_id)).swept_at is None:
                await asyncio.sleep(0.1)
        errors = {file["key"] for file in (row.errors_files or {}).values()}
        named = {row.input_key, row.result_key, *errors}
        if row.status != JobStatus.SUCCEEDED:
            parts = [chunk.part_key for chunk in await jobs.chunks(job_id) if chunk.part_key]
            named |= {row.text_key, (row.head or {}).get("key"), *parts, *map(errors_part_key, parts)}
        async with asyncio.timeout(60):
            while jobs.stored(job_id) - named:
                sweep = new_sweep()
                while await sweep.round():
                    pass
                await asyncio.sleep(0.1)


def _parquet(rows: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), file, row_group_size=1_000)
    return file.getvalue()
