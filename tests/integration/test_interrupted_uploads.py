"""Uploads whose connection, or whose API process, dies in the middle."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from httpx import AsyncClient
from sqlalchemy import func, update

from shared.database.engine import Database
from shared.settings import MIB, Settings
from shared.storage.store import Storage
from shared.uploads.expiry import remove_old_uploads
from shared.uploads.tables import UploadRow
from tests.fixtures.api import Account
from tests.fixtures.platform import find_free_port
from tests.fixtures.processes import Process, peak_memory, started

PATH = "/api/v1/uploads"


@pytest.fixture
def api_settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, port=find_free_port())


@pytest.fixture
async def api(api_settings: Settings, tmp_path: Path) -> AsyncIterator[Process]:
    """An API process of its own."""
    with started("api", api_settings, tmp_path / "api.log") as process:
        await process.wait_for_log("Application startup complete")
        yield process


@pytest.fixture
async def network(api_settings: Settings, account: Account) -> AsyncIterator[AsyncClient]:
    url = f"http://127.0.0.1:{api_settings.port}"
    async with AsyncClient(base_url=url, headers=account.headers, timeout=60) as client:
        yield client


async def begun(network: AsyncClient, size_bytes: int) -> str:
    answer = await network.post(PATH, json={"size_bytes": size_bytes})
    return f"{PATH}/{answer.raise_for_status().json()['id']}"


async def offset_of(network: AsyncClient, upload: str) -> int:
    return int((await network.head(upload)).headers["Upload-Offset"])


async def send_part(settings: Settings, account: Account, upload: str, *, content: bytes, announced: int):
    """A connection that has sent less than it announced."""
    _, writer = await asyncio.open_connection("127.0.0.1", settings.port)
    head = (
        f"PATCH {upload} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {account.token}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {announced}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    return writer


def half_written(folder: Path) -> bool:
    """Whether a piece is on its way into storage."""
    return any("#" in file.name for file in (folder / "storage").rglob("*"))


async def ended_long_ago(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(UploadRow).values(ended_at=func.now() - timedelta(hours=2)))


async def rest_sent(network: AsyncClient, upload: str, content: bytes) -> dict:
    """The answer to what follows on the bytes that are there."""
    offset = await offset_of(network, upload)
    answer = await network.patch(upload, content=content[offset:], headers={"Upload-Offset": str(offset)})
    return answer.raise_for_status().json()


async def test_what_a_broken_connection_has_brought_stays(
    api: Process, network: AsyncClient, api_settings: Settings, account: Account
):
    content = os.urandom(40 * MIB)
    upload = await begun(network, len(content))

    writer = await send_part(api_settings, account, upload, content=content[: 21 * MIB], announced=40 * MIB)
    writer.close()
    await writer.wait_closed()
    await api.wait_for_log(f'"path": "{upload}", "status": 400')
    offset = await offset_of(network, upload)
    whole = await rest_sent(network, upload, content)

    assert (
        20 * MIB < offset <= 21 * MIB
    )  # the server drops what it holds of a broken connection, up to 64 KiB
    assert (whole["complete"], whole["sha256"]) == (True, hashlib.sha256(content).hexdigest())


async def test_a_connection_that_nobody_has_seen_break_holds_up_nobody(
    api: Process, network: AsyncClient, api_settings: Settings, account: Account
):
    content = os.urandom(20 * MIB)
    upload = await begun(network, len(content))

    writer = await send_part(api_settings, account, upload, content=content[: 17 * MIB], announced=20 * MIB)
    async with asyncio.timeout(20):
        while (offset := await offset_of(network, upload)) == 0:
            await asyncio.sleep(0.02)
    whole = await rest_sent(network, upload, content)
    writer.close()
    await api.wait_for_log(f'"path": "{upload}", "status": 409')

    assert offset == 16 * MIB
    assert whole["sha256"] == hashlib.sha256(content).hexdigest()


async def test_an_api_process_that_dies_loses_no_more_than_the_piece_at_hand(
    api: Process,
    network: AsyncClient,
    api_settings: Settings,
    account: Account,
    *,
    tmp_path: Path,
    database: Database,
    storage: Storage,
):
    content = os.urandom(34 * MIB)
    upload = await begun(network, len(content))

    writer = await send_part(api_settings, account, upload, content=content[: 30 * MIB], announced=34 * MIB)
    async with asyncio.timeout(20):
        while await offset_of(network, upload) == 0 or not half_written(tmp_path):
            await asyncio.sleep(0.02)
    api.kill()
    writer.close()
    with started("api", api_settings, tmp_path / "second.log") as second:
        await second.wait_for_log("Application startup complete")
        offset = await offset_of(network, upload)
        whole = await rest_sent(network, upload, content)
        await network.delete(upload)
    await ended_long_ago(database)
    await remove_old_uploads(database, storage)

    assert offset == 16 * MIB
    assert whole["sha256"] == hashlib.sha256(content).hexdigest()
    assert [file for file in (tmp_path / "storage").rglob("*") if file.is_file()] == []


async def test_a_large_upload_costs_little_memory(api: Process, network: AsyncClient):
    piece = os.urandom(MIB)

    async def content() -> AsyncIterator[bytes]:
        for _ in range(128):
            yield piece

    upload = await begun(network, 128 * MIB)
    with peak_memory(api) as peaks:
        answer = await network.patch(upload, content=content(), headers={"Upload-Offset": "0"})

    assert answer.json()["complete"]
    assert peaks[0] < 50 * MIB, peaks
