"""What `Storage` promises, on a folder and on a bucket alike."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from shared.errors import TooLarge
from shared.settings import SettingsInvalid
from shared.storage import bucket
from shared.storage.errors import ObjectMissing, StorageAway, StorageRefused
from shared.storage.object_files import PIECE_BYTES, Written
from shared.storage.store import Storage
from tests.fixtures.object_store import SECRET, ObjectServer

pytestmark = pytest.mark.xdist_group("object store")

BIG = np.random.default_rng(7).bytes(21 * 1024 * 1024)  # several pieces, and a rest
LIMIT = 64 * 1024 * 1024


@pytest.fixture(params=["file", "s3"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/a%20store"
    return request.getfixturevalue("bucket_url")


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return Storage(storage_url)


async def pieces(content: bytes, *, size: int = 1_000_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def write(storage: Storage, key: str, content: bytes = b"content") -> Written:
    return await storage.write(key, pieces(content), max_bytes=LIMIT)


async def read(storage: Storage, key: str, **part: int) -> bytes:
    return b"".join([piece async for piece in storage.read(key, **part)])


async def is_missing(storage: Storage, key: str) -> bool:
    try:
        await storage.size(key)
    except ObjectMissing:
        return True
    return False


def written_by(storage: Storage, key: str, content: bytes) -> Written:
    with storage.writer(key) as writer:
        for start in range(0, len(content), 1_000_000):
            writer.write(content[start : start + 1_000_000])
    return writer.written()


@pytest.mark.parametrize(
    "content", [b"", b"x", BIG[:PIECE_BYTES], BIG], ids=["empty", "byte", "piece", "big"]
)
async def test_what_was_written_is_read_again(storage: Storage, content: bytes):
    written = await write(storage, "a/key", content)

    assert written == Written(len(content), hashlib.sha256(content).hexdigest())
    assert await read(storage, "a/key") == content
    assert await storage.size("a/key") == len(content)


@pytest.mark.parametrize("content", [b"", b"x", BIG], ids=["empty", "byte", "big"])
async def test_a_writer_makes_the_same_object(storage: Storage, content: bytes):
    written = await asyncio.to_thread(written_by, storage, "a/key", content)

    assert written == Written(len(content), hashlib.sha256(content).hexdigest())
    assert await read(storage, "a/key") == content


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 0),
        (0, 1),
        (5, 5),
        (PIECE_BYTES - 1, PIECE_BYTES + 1),
        (3, 2 * PIECE_BYTES + 3),
        (len(BIG) - 1, None),
    ],
)
async def test_a_range_is_read_to_the_byte(storage: Storage, start: int, end: int | None):
    await write(storage, "key", BIG)

    part = b"".join([piece async for piece in storage.read("key", start=start, end=end)])

    assert part == BIG[start:end]


async def test_the_last_that_was_written_counts(storage: Storage):
    await write(storage, "key", b"the first, and longer")
    await write(storage, "key", b"the second")

    assert await read(storage, "key") == b"the second"


async def test_an_object_that_is_missing_says_so_however_it_is_asked_for(storage: Storage):
    with pytest.raises(ObjectMissing):
        await storage.size("nothing")
    with pytest.raises(ObjectMissing):
        await read(storage, "nothing")
    with pytest.raises(ObjectMissing):
        await read(storage, "nothing", start=0, end=10)
    with pytest.raises(ObjectMissing):
        await storage.descriptor("nothing")
    with pytest.raises(ObjectMissing):
        await asyncio.to_thread(storage.reader, "nothing")


async def test_an_object_is_gone_once_it_is_deleted(storage: Storage):
    await write(storage, "key")

    await storage.delete("key")
    await storage.delete("key")  # nothing is there: that is what was wanted

    assert await is_missing(storage, "key")


async def test_all_under_a_prefix_is_deleted_but_for_what_is_kept(storage: Storage):
    for key in ("jobs/1/input", "jobs/1/parts/0.1", "jobs/1/parts/1.1", "jobs/10/input", "jobs/2/input"):
        await write(storage, key)

    await storage.delete_under("jobs/1", spare={"jobs/1/input"}.__contains__)
    await storage.delete_under("jobs/nobody")

    assert await is_missing(storage, "jobs/1/parts/0.1")
    assert await is_missing(storage, "jobs/1/parts/1.1")
    for key in ("jobs/1/input", "jobs/10/input", "jobs/2/input"):
        assert await read(storage, key) == b"content"


async def test_more_objects_than_a_page_of_the_listing_holds_are_deleted(storage: Storage):
    keys = [f"many/{number}" for number in range(1010)]
    for start in range(0, len(keys), 101):
        await asyncio.gather(*(write(storage, key, b"x") for key in keys[start : start + 101]))

    await storage.delete_under("many", spare={"many/7"}.__contains__)
    await storage.delete_under("many/7")

    assert [key for key in keys[::50] if not await is_missing(storage, key)] == []
    assert await read(storage, "many/7") == b"x"


async def test_a_file_over_the_limit_leaves_nothing(storage: Storage):
    with pytest.raises(TooLarge, match="1000000 bytes"):
        await storage.write("key", pieces(BIG), max_bytes=1_000_000)
    with pytest.raises(TooLarge):
        await storage.write("key", pieces(BIG), max_bytes=len(BIG) - 1)

    assert await is_missing(storage, "key")


async def test_a_file_of_just_the_limit_is_taken(storage: Storage):
    written = await storage.write("key", pieces(BIG), max_bytes=len(BIG))

    assert written.size_bytes == len(BIG)


@pytest.mark.parametrize("sent", [1, len(BIG) - 1])
async def test_an_upload_that_breaks_off_leaves_what_was_there(storage: Storage, sent: int):
    await write(storage, "key", b"before")

    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(BIG[:sent]):
            yield piece
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        await storage.write("key", broken(), max_bytes=LIMIT)
    with pytest.raises(ConnectionResetError):
        await storage.write("other", broken(), max_bytes=LIMIT)

    assert await read(storage, "key") == b"before"
    assert await is_missing(storage, "other")


async def test_an_upload_that_is_cancelled_leaves_nothing(storage: Storage):
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(BIG[: 2 * PIECE_BYTES]):
            yield piece
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(storage.write("key", endless(), max_bytes=LIMIT))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_missing(storage, "key")


async def test_nothing_of_a_writer_is_seen_before_it_is_closed(storage: Storage):
    writer = await asyncio.to_thread(storage.writer, "key")

    await asyncio.to_thread(writer.write, BIG)
    before = await is_missing(storage, "key")
    await asyncio.to_thread(writer.close)

    assert before
    assert await read(storage, "key") == BIG


@pytest.mark.parametrize("size", [10, len(BIG)])
async def test_a_writer_that_is_abandoned_leaves_what_was_there(storage: Storage, size: int):
    await write(storage, "key", b"before")

    def fail(key: str) -> None:
        with suppress(RuntimeError), storage.writer(key) as writer:
            writer.write(BIG[:size])
            raise RuntimeError("half of it")

    await asyncio.to_thread(fail, "key")
    await asyncio.to_thread(fail, "other")

    assert await read(storage, "key") == b"before"
    assert await is_missing(storage, "other")


async def test_a_writer_that_is_forgotten_publishes_nothing(storage: Storage):
    def forget() -> None:
        writer = storage.writer("key")
        writer.write(b"half")

    await asyncio.to_thread(forget)

    assert await is_missing(storage, "key")


async def test_a_reader_seeks_and_reads_as_files_do(storage: Storage, tmp_path: Path):
    (tmp_path / "same").write_bytes(BIG)
    await write(storage, "key", BIG)

    def steps(file) -> list[object]:
        return [
            file.readable(), file.seekable(), file.read(3), file.tell(), file.seek(-5, os.SEEK_END),
            file.read(), file.read(4), file.seek(PIECE_BYTES - 2), file.read(6), file.seek(2, os.SEEK_CUR),
            file.read(1), file.seek(len(BIG) + 10), file.read(1), file.seek(0),
            hashlib.sha256(file.read()).hexdigest(),
        ]  # fmt: skip

    def steps_of(opened) -> list[object]:
        with opened as file:
            return steps(file)

    found = await asyncio.to_thread(lambda: steps_of(storage.reader("key")))

    assert found == steps_of((tmp_path / "same").open("rb", buffering=0))


async def test_a_descriptor_reads_the_whole_object(storage: Storage):
    await write(storage, "key", BIG)

    descriptor = await storage.descriptor("key")
    await storage.delete("key")  # what is open stays readable

    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == BIG


async def test_of_writers_of_one_key_one_wins_whole(storage: Storage):
    contents = [bytes([number]) * (2 * PIECE_BYTES + number) for number in range(1, 5)]

    both = (
        *(write(storage, "key", content) for content in contents[:2]),
        *(asyncio.to_thread(written_by, storage, "key", content) for content in contents[2:]),
    )
    await asyncio.gather(*both)

    assert await read(storage, "key") in contents


async def test_two_stores_under_one_bucket_do_not_see_each_other(storage_url: str):
    await write(Storage(f"{storage_url}/one"), "key", b"of one")
    await write(Storage(f"{storage_url}/other"), "key", b"of the other")

    assert await read(Storage(f"{storage_url}/one"), "key") == b"of one"


@pytest.mark.usefixtures("bucket_url")
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_wrong_credentials_are_told_without_them(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, "something-else-altogether")
    storage = Storage(bucket_url)

    with pytest.raises(StorageRefused, match="credentials") as refused:
        await write(storage, "key")
    with pytest.raises(StorageRefused):
        await storage.size("key")

    assert "something-else" not in str(refused.value)
    assert SECRET not in str(refused.value)


Impatient = Callable[..., None]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """Sets when a silent bucket is asked again, and when it is given up, for stores that are opened then."""

    def become(*, again_s: float, up_s: float) -> None:
        monkeypatch.setitem(bucket.CLIENT, "timeout", timedelta(seconds=again_s))
        monkeypatch.setitem(bucket.RETRY, "retry_timeout", timedelta(seconds=up_s))

    return become


async def test_a_bucket_that_is_silent_for_longer_than_a_request_may_take_is_asked_again(
    bucket_url: str, object_server: ObjectServer, impatient: Impatient
):
    impatient(again_s=2, up_s=30)
    storage = Storage(bucket_url)
    await write(storage, "read", BIG)

    object_server.hold_still()
    doing = [
        asyncio.create_task(read(storage, "read")),
        asyncio.create_task(write(storage, "written", BIG)),
        asyncio.create_task(asyncio.to_thread(written_by, storage, "writer", BIG)),
    ]
    await asyncio.sleep(3)
    object_server.go_on()
    await asyncio.gather(*doing)

    assert doing[0].result() == BIG
    assert await read(storage, "written") == await read(storage, "writer") == BIG


async def test_a_bucket_that_stays_silent_is_given_up(
    bucket_url: str, object_server: ObjectServer, impatient: Impatient
):
    impatient(again_s=0.5, up_s=1)
    storage = Storage(bucket_url)
    writer = storage.writer("writer")

    object_server.hold_still()
    try:
        with pytest.raises(StorageAway):
            await storage.size("key")
        with pytest.raises(StorageAway):
            await write(storage, "key")
        with pytest.raises(StorageAway):
            await asyncio.to_thread(writer.close)
    finally:
        object_server.go_on()


@pytest.mark.parametrize(
    "url",
    ["", "/data", "data", "http://host/x", "gs://bucket", "memory:///", "s3://", "s3:///x", "file://host/x"],
)
def test_an_url_that_is_neither_folder_nor_bucket_is_told(url: str):
    with pytest.raises(SettingsInvalid, match="STORAGE_URL must be file:///folder or s3://bucket/prefix"):
        Storage(url)
