"""Transfers from real servers that break off, lie, redirect, dawdle; name servers are functions that lie."""

import ssl
from collections.abc import AsyncIterator

import msgspec
import pytest

from shared.jobs.errors import InputChanged, InputRefused, InputTooLarge, InputUnreachable
from shared.jobs.input_address import InputAddress
from shared.outbound.connections import AddressRefused
from shared.settings import Settings
from tests.fixtures.file_server import CHANGED, FileServer
from tests.fixtures.name_server import Names
from tests.fixtures.webhooks import CERTIFICATE, Answer, Receiver
from workers.jobs import http_transfer
from workers.jobs.http_transfer import HttpTransfer, Restarted

OPEN = Settings(
    database_url="",
    redis_url="",
    storage_url="",
    secret_key="s" * 32,
    allow_private_inputs=True,
    job_max_bytes=1_000_000,
    fetch_silence_s=5,
)
GUARDED = msgspec.structs.replace(OPEN, allow_private_inputs=False)
CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transfer, "PAUSES_S", (0.01, 0.01, 0.01))


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def fetched(url: str, settings: Settings = OPEN, **options) -> bytes:
    return await joined(HttpTransfer(settings, InputAddress(url), **options).pieces())


async def test_a_file_arrives_as_it_is(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, headers={"content-encoding": "gzip"})

    content = await fetched(f"{url}?token=1")

    assert content == CONTENT
    [asked] = file_server.asked
    assert asked.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("etag", ['"first"', None], ids=["etag", "time of the last change"])
async def test_a_transfer_that_breaks_off_goes_on_where_it_was(file_server: FileServer, etag: str | None):
    headers = {} if etag else {"last-modified": CHANGED}
    url = file_server.put("/rows", CONTENT, etag=etag, headers=headers, cuts=[100_000, 50_000])

    content = await fetched(url)

    assert content == CONTENT
    first, second, third = [asked.headers for asked in file_server.asked]
    assert "range" not in first
    assert second["range"] == "bytes=100000-"
    assert second["if-range"] == (etag or headers["last-modified"])
    assert third["range"] == "bytes=150000-"


@pytest.mark.parametrize(
    "behaviour", [{"ranges": False}, {"etag": None}, {"etag": 'W/"weak"', "ranges": False}]
)
async def test_a_server_that_cannot_go_on_is_asked_from_the_start(file_server: FileServer, behaviour: dict):
    transfer = HttpTransfer(
        OPEN, InputAddress(file_server.put("/rows", CONTENT, cuts=[100_000], **behaviour))
    )

    with pytest.raises(Restarted):
        await joined(transfer.pieces())

    assert await joined(transfer.pieces()) == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_that_is_replaced_on_the_way_is_refused(file_server: FileServer, *, ranges: bool):
    url = file_server.put("/rows", CONTENT, cuts=[100_000], ranges=ranges)
    transfer = HttpTransfer(OPEN, InputAddress(url))
    pieces = transfer.pieces()
    await anext(pieces)
    file_server.put("/rows", CONTENT[::-1], etag='"second"', ranges=ranges)

    with pytest.raises(InputChanged, match="replaced"):
        await joined(pieces)


async def test_a_part_of_another_file_is_no_rest(file_server: FileServer):
    """The server does not care for If-Range, and says so only by the tag."""
    url = file_server.put("/rows", CONTENT, cuts=[100_000])
    pieces = HttpTransfer(OPEN, InputAddress(url)).pieces()
    await anext(pieces)
    file_server.put("/rows", CONTENT + b"more", etag='"first"')

    with pytest.raises(InputChanged):
        await joined(pieces)


async def test_more_than_is_sent_is_not_believed(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, length=len(CONTENT) + 5, ranges=False, etag=None)
    transfer = HttpTransfer(OPEN, InputAddress(url))

    with pytest.raises(Restarted):
        await joined(transfer.pieces())


async def test_less_than_is_sent_is_what_counts(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, length=1000)

    assert await fetched(url) == CONTENT[:1000]


async def test_a_file_that_says_to_be_too_large_is_not_begun(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, length=1_000_001)

    with pytest.raises(InputTooLarge, match="1000000 bytes"):
        await fetched(url)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 300])
async def test_what_the_server_refuses_is_not_asked_again(file_server: FileServer, status: int):
    url = file_server.put("/rows", CONTENT, statuses=[status])

    with pytest.raises(InputRefused, match=f"the server answered {status}"):
        await fetched(url)

    assert len(file_server.asked) == 1


async def test_a_server_in_trouble_is_asked_again(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, statuses=[503, 429, 500])

    assert await fetched(url) == CONTENT


async def test_a_server_in_long_trouble_is_left(file_server: FileServer):
    url = file_server.put("/rows", CONTENT, statuses=[503] * 10)

    with pytest.raises(InputUnreachable, match="the server answered 503"):
        await fetched(url)

    assert len(file_server.asked) == 4


@pytest.mark.parametrize(
    ("url", "text"),
    [("http://127.0.0.1:1/?key=hunter2", "no connection"), ("http://name.invalid/?key=hunter2", "looked up")],
)
async def test_a_server_that_is_not_there_is_unreachable(url: str, text: str):
    with pytest.raises(InputUnreachable, match=text) as error:
        await fetched(url)

    assert "hunter2" not in str(error.value)


async def test_a_silent_server_is_left(file_server: FileServer):
    impatient = msgspec.structs.replace(OPEN, fetch_silence_s=0.1)
    url = file_server.put("/rows", CONTENT, silent=True)

    with pytest.raises(InputUnreachable, match="silent"):
        await fetched(url, impatient)


async def test_redirects_are_followed(file_server: FileServer):
    file_server.put("/rows", CONTENT)
    file_server.put("/b", location="/rows")

    assert await fetched(file_server.put("/a", location=f"{file_server.url}/b")) == CONTENT


async def test_redirects_that_go_round_end(file_server: FileServer):
    url = file_server.put("/a", location="/a")

    with pytest.raises(InputRefused, match="more than 5 times"):
        await fetched(url)

    assert len(file_server.asked) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433:{port}/secret",
        "//localhost:{port}/secret",
        "file:///etc/passwd",
        "s3://shared-data/rows",
    ],
)
async def test_redirects_to_the_inside_are_refused(file_server: FileServer, target: str):
    """The first address is judged by what the name server says; the redirect by its own."""
    file_server.put("/secret", b"inside")
    file_server.put("/a", location=target.format(port=file_server.port))
    transfer = HttpTransfer(
        GUARDED, InputAddress(f"http://outside.test:{file_server.port}/a"), look_up=Names(["127.0.0.1"])
    )
    transfer._connections._allow_private = True  # else the test's own server could not be the first

    with pytest.raises(InputRefused, match="redirects to"):
        await joined(transfer.pieces())

    assert [asked.path for asked in file_server.asked] == ["/a"]


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "100.64.0.1", "fd00::1"]
)
async def test_a_name_that_leads_inside_is_refused_without_a_connection(file_server: FileServer, inside: str):
    url = f"http://outside.test:{file_server.port}/rows"

    with pytest.raises(AddressRefused):
        await fetched(url, GUARDED, look_up=Names(["1.1.1.1", inside]))

    assert file_server.asked == []


async def test_a_name_that_changes_its_answer_does_not_move_the_connection(file_server: FileServer):
    """DNS rebinding: at the check an address where nothing listens, the server's a moment later."""
    file_server.put("/rows", CONTENT)
    names = Names(["127.0.0.2"], ["127.0.0.2"], ["127.0.0.2"], ["127.0.0.2"], ["127.0.0.1"])

    with pytest.raises(InputUnreachable, match="no connection"):
        await fetched(f"http://outside.test:{file_server.port}/rows", look_up=names)

    assert file_server.asked == []
    assert len(names.asked) == 4  # once a try


async def test_a_name_that_moves_inside_before_the_rest_is_refused(file_server: FileServer):
    """Each connection is checked anew: the rest of a file too."""
    url = file_server.put("/rows", CONTENT, cuts=[100_000]).replace("127.0.0.1", "outside.test")

    with pytest.raises(AddressRefused):
        await fetched(url, look_up=Names(["127.0.0.1"], ["224.0.0.1"]))


async def test_the_user_of_the_url_is_told_to_its_server_and_to_no_other(file_server: FileServer):
    file_server.put("/rows", CONTENT)
    file_server.put("/a", location=f"{file_server.url}/rows")

    await fetched(f"http://me:hunter2@127.0.0.1:{file_server.port}/a")

    first, second = file_server.asked
    assert first.headers["authorization"] == "Basic bWU6aHVudGVyMg=="
    assert "authorization" not in second.headers


async def test_tls_is_verified_for_the_name_in_the_url(tls_receiver: Receiver):
    tls = ssl.create_default_context(cafile=CERTIFICATE)
    names = Names(["127.0.0.1"])
    tls_receiver.answers.append(Answer(200, body=CONTENT))

    content = await fetched(f"https://receiver.test:{tls_receiver.port}/", look_up=names, tls=tls)
    with pytest.raises(InputUnreachable, match="certificate"):
        await fetched(f"https://other.test:{tls_receiver.port}/", look_up=names, tls=tls)

    assert content == CONTENT


async def test_a_proxy_in_the_environment_is_not_used(
    file_server: FileServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert await fetched(file_server.put("/rows", CONTENT)) == CONTENT
