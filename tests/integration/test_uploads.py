"""Files that arrive in several requests, as their sender sees them."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import obstore
import pytest
from httpx import ASGITransport, AsyncClient, Response
from litestar import Litestar
from sqlalchemy import func, update

from api.app import create_app
from shared.database.engine import Database
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.expiry import remove_old_uploads
from shared.uploads.incoming import Incoming
from shared.uploads.service import Uploads
from shared.uploads.tables import UploadRow
from tests.fixtures.api import Account, Judge, living
from tests.fixtures.jobs import store

PATH = "/api/v1/uploads"
CONTENT = bytes(range(256)) * 100


class Sender:
    """Somebody who uploads files."""

    def __init__(self, client: AsyncClient, account: Account) -> None:
        self._client, self._headers = client, account.headers

    async def begin(self, *, headers: dict[str, str] | None = None, **body: Any) -> Response:
        return await self._client.post(PATH, json=body, headers=self._headers | (headers or {}))

    async def begun(self, **body: Any) -> str:
        answer = await self.begin(**body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def send(self, upload: str, content: Any, *, offset: int, **headers: str) -> Response:
        given = {"Upload-Offset": str(offset)} | {n.replace("_", "-"): v for n, v in headers.items()}
        return await self._client.patch(f"{PATH}/{upload}", content=content, headers=self._headers | given)

    async def look(self, upload: str, method: str = "GET") -> Response:
        return await self._client.request(method, f"{PATH}/{upload}", headers=self._headers)

    async def whole(self, content: bytes = CONTENT) -> str:
        """An upload that is complete."""
        upload = await self.begun(size_bytes=len(content), file_name="rows.csv")
        assert (await self.send(upload, content, offset=0)).json()["complete"]
        return upload


@pytest.fixture
def sender(client: AsyncClient, account: Account) -> Sender:
    return Sender(client, account)


@pytest.fixture
def uploads(settings: Settings, database: Database, storage: Storage) -> Iterator[Uploads]:
    """With pieces of 1,000 bytes."""
    uploads = Uploads(settings, database, storage, piece_bytes=1000)
    yield uploads
    uploads.close()


def stored(settings: Settings) -> list[Path]:
    """All files that storage holds."""
    folder = Path(settings.storage_url.removeprefix("file://"))
    return [file for file in folder.rglob("*") if file.is_file()]


def client_of(app: Litestar) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(app), base_url="http://modelyard.test")


async def keys_of(storage: Storage) -> list[str]:
    listing = obstore.list(storage._store)
    return [entry["path"] async for page in listing for entry in page]


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


def digest_header(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


async def test_a_file_arrives_in_two_requests(sender: Sender, settings: Settings):
    begun = await sender.begin(file_name="rows.csv", size_bytes=len(CONTENT))
    upload = begun.json()["id"]
    first = await sender.send(upload, CONTENT[:10_000], offset=0)
    second = await sender.send(upload, CONTENT[10_000:], offset=10_000)

    assert begun.status_code == 201
    assert begun.headers["Location"] == f"{PATH}/{upload}"
    assert begun.json()["url"] == f"{settings.public_url}{PATH}/{upload}"
    assert (first.status_code, first.headers["Upload-Offset"], first.headers["Upload-Complete"]) == (
        200,
        "10000",
        "?0",
    )
    assert first.json()["sha256"] is None
    assert (second.headers["Upload-Offset"], second.headers["Upload-Complete"]) == ("25600", "?1")
    assert second.json() | {"id": "", "created_at": "", "expires_at": "", "url": ""} == {
        "id": "",
        "file_name": "rows.csv",
        "offset": 25_600,
        "size_bytes": 25_600,
        "complete": True,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "created_at": "",
        "expires_at": "",
        "url": "",
    }
    assert [file.read_bytes() for file in stored(settings)] == [CONTENT]


async def test_a_file_of_unknown_size_ends_when_its_sender_says_so(sender: Sender):
    upload = await sender.begun()

    await sender.send(upload, CONTENT, offset=0)
    looked = await sender.look(upload, "HEAD")
    ended = await sender.send(upload, b"", offset=len(CONTENT), Upload_Complete="?1")

    assert (looked.status_code, looked.content) == (204, b"")
    assert looked.headers["Upload-Offset"] == "25600"
    assert looked.headers["Upload-Complete"] == "?0"
    assert looked.headers["Cache-Control"] == "no-store"
    assert "Upload-Length" not in looked.headers
    assert (ended.json()["complete"], ended.json()["size_bytes"]) == (True, 25_600)


async def test_bytes_that_do_not_follow_are_refused_with_the_right_offset(sender: Sender):
    upload = await sender.begun(size_bytes=len(CONTENT))
    await sender.send(upload, CONTENT[:10_000], offset=0)

    answers = [await sender.send(upload, CONTENT[:9], offset=n) for n in (0, 9_999, 10_001, 25_600)]

    assert {answer.status_code for answer in answers} == {409}
    assert {answer.json()["code"] for answer in answers} == {"offset_mismatch"}
    assert {answer.headers["Upload-Offset"] for answer in answers} == {"10000"}
    assert (await sender.look(upload)).json()["offset"] == 10_000


async def test_headers_that_do_not_fit_are_refused(sender: Sender, client: AsyncClient, account: Account):
    given = [
        {},
        {"Upload-Offset": "one"},
        {"Upload-Offset": "-1"},
        {"Upload-Offset": "9223372036854775808"},
        {"Upload-Offset": "0", "Upload-Complete": "yes"},
        {"Upload-Offset": "0", "Content-Type": "multipart/form-data; boundary=x"},
    ]
    path = f"{PATH}/{await sender.begun()}"

    answers = [await client.patch(path, content=b"x", headers=account.headers | each) for each in given]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 400, 415]
    assert all("Upload-" in answer.json()["detail"] for answer in answers[:5])
    assert (await client.get(path, headers=account.headers)).json()["offset"] == 0


async def test_an_upload_that_cannot_be_is_not_begun(sender: Sender, client: AsyncClient, account: Account):
    bodies: list[dict[str, Any]] = [
        {"size_bytes": 0},
        {"size_bytes": 2**63},
        {"size_bytes": 2**62},
        {"size": 1},
        {"file_name": "x" * 1001},
    ]

    answers = [await sender.begin(**body) for body in bodies]
    headers = [
        await sender.begin(headers={name: value})
        for name, value in (
            ("Repr-Digest", "sha-256=:***:"),
            ("Repr-Digest", "sha-256=:AAAA:"),
            ("Upload-Length", "0"),
            ("Upload-Length", "9" * 5000),
        )
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 413, 422, 422]
    assert [answer.status_code for answer in headers] == [400, 400, 400, 400]
    assert (await client.get(PATH, headers=account.headers)).json()["items"] == []


async def test_the_header_of_the_size_is_read_beside_the_body_too(sender: Sender):
    texts = ("a few", "8", "7")

    answers = [await sender.begin(size_bytes=7, headers={"Upload-Length": text}) for text in texts]

    assert [answer.status_code for answer in answers] == [400, 400, 201]
    assert answers[1].json()["detail"] == "the header Upload-Length says 8, and size_bytes says 7"


async def test_an_upload_can_be_begun_by_headers_alone(client: AsyncClient, account: Account):
    answer = await client.post(PATH, headers=account.headers | {"Upload-Length": "7"})

    assert (answer.status_code, answer.json()["size_bytes"]) == (201, 7)


async def test_a_name_of_a_file_is_tidied(sender: Sender):
    named = await sender.begin(file_name="../../etc/pass\x00wd")
    unnamed = await sender.begin()

    assert (named.json()["file_name"], unnamed.json()["file_name"]) == ("passwd", "upload")


async def test_a_body_that_announces_too_much_is_refused_before_it_is_read(sender: Sender):
    upload = await sender.begun(size_bytes=100)

    answer = await sender.send(upload, b"x" * 101, offset=0)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (await sender.look(upload)).json()["offset"] == 0


async def test_a_stream_that_goes_on_too_long_does_not_complete_the_file(sender: Sender):
    upload = await sender.begun(size_bytes=100)

    answer = await sender.send(upload, pieces(b"x" * 60, b"x" * 40, b"x"), offset=0)
    state = (await sender.look(upload)).json()

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (state["offset"], state["complete"]) == (100, False)


async def test_no_upload_grows_past_the_limit_of_a_jobs_file(
    settings: Settings, database: Database, storage: Storage, account: Account
):
    small = msgspec.structs.replace(settings, job_max_bytes=5000)
    uploads = Uploads(small, database, storage, piece_bytes=1000)
    row = await uploads.create(account.tenant_id, file_name="", size_bytes=None, digest=None)

    claim = await uploads.claim(account.tenant_id, str(row.id), offset=0)

    assert claim.most_bytes == 5000


async def test_an_end_before_the_announced_end_is_refused(sender: Sender):
    upload = await sender.begun(size_bytes=100)

    early = await sender.send(upload, b"x" * 99, offset=0, Upload_Complete="?1")
    late = await sender.send(upload, b"x", offset=99)

    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    assert late.json()["complete"]


async def test_an_empty_file_is_refused(sender: Sender):
    upload = await sender.begun()

    answer = await sender.send(upload, b"", offset=0, Upload_Complete="?1")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_nothing_is_added_to_a_complete_file(sender: Sender):
    upload = await sender.whole()

    answer = await sender.send(upload, b"x", offset=len(CONTENT))

    assert (answer.status_code, answer.json()["code"]) == (409, "upload_complete")


async def test_bytes_that_are_not_those_announced_do_not_become_the_file(sender: Sender, settings: Settings):
    right = await sender.begin(size_bytes=len(CONTENT), headers={"Repr-Digest": digest_header(CONTENT)})
    wrong = await sender.begin(size_bytes=len(CONTENT), headers={"Repr-Digest": digest_header(b"another")})

    whole = await sender.send(right.json()["id"], CONTENT, offset=0)
    damaged = await sender.send(wrong.json()["id"], CONTENT, offset=0)

    assert whole.json()["complete"]
    assert (damaged.status_code, damaged.json()["code"]) == (400, "digest_mismatch")
    assert not (await sender.look(wrong.json()["id"])).json()["complete"]
    assert [file.name[:2] for file in stored(settings) if wrong.json()["id"] in str(file)] == ["0."]


async def test_of_two_that_send_at_once_the_later_wins(sender: Sender, settings: Settings):
    first_is_there, second_is_done = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a" * 50
        first_is_there.set()
        await second_is_done.wait()
        yield b"a" * 50

    upload = await sender.begun(size_bytes=100)
    slow = asyncio.create_task(sender.send(upload, slowly(), offset=0))
    await first_is_there.wait()
    fast = await sender.send(upload, b"b" * 100, offset=0)
    second_is_done.set()
    refused = await slow

    assert fast.json()["complete"]
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_taken_over")
    assert [file.read_bytes() for file in stored(settings)] == [b"b" * 100]


async def test_of_many_that_send_at_once_one_wins(sender: Sender, settings: Settings):
    upload = await sender.begun(size_bytes=20_000)

    answers = await asyncio.gather(*(sender.send(upload, bytes([n]) * 20_000, offset=0) for n in range(8)))

    won = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} == {200, 409}
    assert [file.read_bytes() for file in stored(settings)] == [bytes(won) * 20_000]


async def test_pieces_are_stored_as_they_come_and_short_ones_are_filled_up(
    uploads: Uploads, account: Account, storage: Storage, settings: Settings
):
    row = await uploads.create(account.tenant_id, file_name="", size_bytes=None, digest=None)
    upload, sent = str(row.id), 0

    for size in (1, 2500, 499, 3, 2597):
        claim = await uploads.claim(account.tenant_id, upload, offset=sent)
        await uploads.receive(claim, pieces(CONTENT[sent : sent + size]), is_last=False)
        sent += size
    sizes = sorted(file.stat().st_size for file in stored(settings))
    claim = await uploads.claim(account.tenant_id, upload, offset=sent)
    await uploads.receive(claim, pieces(), is_last=True)
    taken = await uploads.take(account.tenant_id, upload, key="there")

    assert sizes == [600, 1000, 1000, 1000, 1000, 1000]
    assert (taken.size_bytes, taken.digest) == (5600, hashlib.sha256(CONTENT[:5600]).hexdigest())
    assert b"".join([piece async for piece in storage.read("there")]) == CONTENT[:5600]


async def test_a_store_that_is_no_folder_does_the_same(
    bucket_url: str, settings: Settings, database: Database, account: Account
):
    bucket = Storage(bucket_url)
    uploads = Uploads(settings, database, bucket, piece_bytes=1000)
    row = await uploads.create(account.tenant_id, file_name="", size_bytes=5600, digest=None)

    claim = await uploads.claim(account.tenant_id, str(row.id), offset=0)
    await uploads.receive(claim, pieces(CONTENT[:5600]), is_last=False)
    await uploads.take(account.tenant_id, row.id, key="there")
    await uploads.abandon(account.tenant_id, str(row.id))
    async with database.transaction() as session:
        await session.execute(update(UploadRow).values(ended_at=func.now() - timedelta(minutes=61)))
    await remove_old_uploads(database, bucket)
    uploads.close()

    assert b"".join([piece async for piece in bucket.read("there")]) == CONTENT[:5600]
    assert await keys_of(bucket) == ["there"]


async def test_a_sender_who_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.uploads.incoming.SILENCE_S", 0.01)

    async def endless() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.Event().wait()

    incoming = Incoming(endless(), most_bytes=100)

    assert b"".join([content async for content in incoming.piece(100)]) == b"some"
    assert incoming.failure is not None
    assert incoming.failure.code == "upload_stalled"


async def test_anothers_upload_is_not_there(
    sender: Sender, client: AsyncClient, stranger: Account, *, settings: Settings, judge: Judge
):
    upload = await sender.whole()
    other = Sender(client, stranger)
    iris = await client.post(
        "/api/v1/models/upload",
        files={"file": b"a model"},
        data={"name": "iris"},
        headers={**stranger.headers, "Prefer": "wait=0"},
    )
    await judge(iris.json()["version"]["id"])

    answers = [
        await other.look(upload),
        await other.look(upload, "HEAD"),
        await other.look(upload, "DELETE"),
        await other.send(upload, b"x", offset=len(CONTENT)),
        await client.post(
            "/api/v1/jobs",
            files={"model": (None, "iris"), "upload_id": (None, upload)},
            headers=stranger.headers,
        ),
        await sender.look("none"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
    assert {answer.json()["code"] for answer in answers if answer.content} == {"upload_not_found"}
    assert len([file for file in stored(settings) if "uploads" in file.parts]) == 1
    assert (await client.get(PATH, headers=stranger.headers)).json()["items"] == []


async def test_uploads_are_listed_and_bounded(settings: Settings, account: Account):
    two = msgspec.structs.replace(settings, max_uploads=2)
    async with living(create_app(two)) as app, client_of(app) as client:
        sender = Sender(client, account)
        first, second = await sender.begun(), await sender.begun()
        third = await sender.begin()
        page = (await client.get(f"{PATH}?limit=1", headers=account.headers)).json()
        await sender.look(first, "DELETE")
        fourth = await sender.begin()

    assert (third.status_code, third.json()["code"]) == (409, "too_many_uploads")
    assert [item["id"] for item in page["items"]] == [second]
    assert page["next_cursor"]
    assert fourth.status_code == 201


async def test_an_abandoned_upload_is_gone_at_once_and_its_bytes_later(
    sender: Sender, settings: Settings, database: Database, storage: Storage
):
    upload = await sender.begun()
    await sender.send(upload, CONTENT, offset=0)

    gone = await sender.look(upload, "DELETE")
    await remove_old_uploads(database, storage)
    kept = stored(settings)
    async with database.transaction() as session:
        await session.execute(update(UploadRow).values(ended_at=func.now() - timedelta(minutes=61)))
    await remove_old_uploads(database, storage)

    assert gone.status_code == 204
    assert (await sender.look(upload)).status_code == 404
    assert len(kept) == 1  # somebody may still be writing
    assert stored(settings) == []
    async with database.transaction() as session:
        assert await session.get(UploadRow, UUID(upload)) is None


async def test_an_upload_that_makes_no_progress_expires_with_all_that_a_crash_has_left(
    sender: Sender, settings: Settings, database: Database, storage: Storage
):
    idle, busy = await sender.begun(), await sender.begun()
    await sender.send(idle, CONTENT, offset=0)
    await store(storage, f"uploads/{idle}/25600.never-recorded", b"orphan")
    async with database.transaction() as session:
        await session.execute(update(UploadRow).values(expires_at=func.now() - timedelta(seconds=1)))
        await session.execute(
            update(UploadRow)
            .where(UploadRow.id == UUID(busy))
            .values(expires_at=func.now() + timedelta(seconds=60))
        )
    await sender.send(busy, CONTENT, offset=0)

    await remove_old_uploads(database, storage)
    late = await sender.send(idle, b"x", offset=len(CONTENT))
    async with database.transaction() as session:
        await session.execute(
            update(UploadRow)
            .where(UploadRow.ended_at.is_not(None))
            .values(ended_at=func.now() - timedelta(minutes=61))
        )
    await remove_old_uploads(database, storage)

    assert late.status_code == 404
    assert [busy in str(file) for file in stored(settings)] == [True]
    assert (await sender.look(busy)).json()["offset"] == len(CONTENT)
