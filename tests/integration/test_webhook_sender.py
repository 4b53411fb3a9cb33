"""The sender against real receivers; name servers are functions, so that they can lie."""

import asyncio
import gzip
import ssl
from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks import Webhook

from shared.ids import new_id
from shared.settings import Settings
from shared.webhooks.delivery import Attempt
from shared.webhooks.sender import Sender
from shared.webhooks.signing import webhook_secret
from tests.fixtures.name_server import Names
from tests.fixtures.webhooks import CERTIFICATE, Answer, Receiver

OPEN = Settings(
    database_url="",
    redis_url="",
    storage_url="",
    secret_key="s" * 32,
    allow_private_webhooks=True,
    webhook_timeout_s=5,
)
GUARDED = msgspec.structs.replace(OPEN, allow_private_webhooks=False)
PRODUCTION = msgspec.structs.replace(OPEN, environment="production")
SECRET = webhook_secret("s" * 32, salt=b"salt")


def attempt_at(url: str) -> Attempt:
    return Attempt(
        delivery_id=new_id(),
        tenant_id=new_id(),
        endpoint_id=None,
        target="receiver",
        number=1,
        number_in_schedule=1,
        attempted_at=datetime.now(UTC),
        url=url,
        event_type="job.succeeded",
        body=b'{"type": "job.succeeded"}',
        secrets=(SECRET,),
    )


async def test_a_receiver_can_verify_what_it_gets(receiver: Receiver):
    attempt = attempt_at(receiver.url + "?from=jobs")

    outcome = await Sender(OPEN).send(attempt)

    assert outcome.is_delivered
    assert outcome.status_code == 204
    [request] = receiver.received
    assert request.target == "/hooks?from=jobs"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == str(attempt.delivery_id)
    assert Webhook(SECRET).verify(request.body, request.headers) == {"type": "job.succeeded"}


async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver):
    receiver.answers.append(Answer(302, headers={"location": receiver.url}))

    outcome = await Sender(OPEN).send(attempt_at(receiver.url))

    assert not outcome.is_delivered
    assert outcome.error == "the receiver answered 302"
    assert len(receiver.received) == 1


async def test_the_limit_is_on_the_whole_attempt(receiver: Receiver):
    impatient = msgspec.structs.replace(OPEN, webhook_timeout_s=0.3)
    receiver.answers.append(Answer(delay_s=20))

    outcome = await Sender(impatient).send(attempt_at(receiver.url))

    assert outcome.error == "no whole answer within 0.3 s"
    assert outcome.status_code is None
    assert 300 <= outcome.latency_ms < 5_000


async def test_the_limit_holds_against_a_receiver_that_trickles():
    """Each byte comes well within any limit between two reads: only a limit on the whole ends this."""

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)

    impatient = msgspec.structs.replace(OPEN, webhook_timeout_s=0.5)
    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    outcome = await Sender(impatient).send(attempt_at(f"http://127.0.0.1:{port}/"))

    server.close()
    assert outcome.error == "no whole answer within 0.5 s"


async def test_the_first_bytes_of_the_answer_are_kept_and_no_more(receiver: Receiver):
    receiver.answers.append(Answer(500, body=b"no\x00 \xff" + b"x" * 5_000_000))

    outcome = await Sender(OPEN).send(attempt_at(receiver.url))

    assert outcome.answer.startswith("no\ufffd \ufffdxxx")
    assert len(outcome.answer) <= 1024


async def test_an_answer_built_to_burst_is_not_unpacked(receiver: Receiver):
    bomb = gzip.compress(bytes(50_000_000))
    receiver.answers.append(Answer(200, headers={"content-encoding": "gzip"}, body=bomb))

    outcome = await Sender(OPEN).send(attempt_at(receiver.url))

    assert outcome.is_delivered
    assert len(outcome.answer) <= 1024


async def test_retry_after_is_passed_on(receiver: Receiver):
    receiver.answers.append(Answer(503, headers={"retry-after": "120"}))

    outcome = await Sender(OPEN).send(attempt_at(receiver.url))

    assert outcome.retry_after_s == 120


async def test_a_closed_port_is_an_outcome():
    outcome = await Sender(OPEN).send(attempt_at("http://127.0.0.1:1/"))

    assert not outcome.is_delivered
    assert outcome.error.startswith("ConnectError")


async def test_a_name_that_nobody_knows_is_an_outcome():
    async def unknown(_host: str, _port: int) -> list:
        raise OSError("Name or service not known")

    outcome = await Sender(OPEN, look_up=unknown).send(attempt_at("http://receiver.test/"))

    assert outcome.error == "OSError: Name or service not known"


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b:1::7f00:1",  # NAT64 of a network's own
        "2002:7f00:1::",  # 6to4
        "2001:0:7f00:1::",  # Teredo
        "::127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "fd00::1",
        "fe80::1",
        "0.0.0.0",
    ],
)
async def test_a_name_that_leads_inside_is_refused_without_a_connection(receiver: Receiver, inside: str):
    names = Names([inside])

    outcome = await Sender(GUARDED, look_up=names).send(attempt_at(f"http://receiver.test:{receiver.port}/"))

    assert outcome.error == "AddressRefused: the name leads to a private or reserved address"
    assert receiver.connections == 0


async def test_one_private_address_among_public_ones_is_refused(receiver: Receiver):
    names = Names(["1.1.1.1", "127.0.0.1"])

    outcome = await Sender(GUARDED, look_up=names).send(attempt_at(f"http://receiver.test:{receiver.port}/"))

    assert outcome.error.startswith("AddressRefused")
    assert receiver.connections == 0


async def test_a_name_that_changes_after_the_check_does_not_move_the_connection(receiver: Receiver):
    """DNS rebinding: at the check an address where nothing listens, the receiver's a moment later."""
    names = Names(["127.0.0.2"], ["127.0.0.1"])

    outcome = await Sender(OPEN, look_up=names).send(attempt_at(f"http://receiver.test:{receiver.port}/"))

    assert outcome.error.startswith("ConnectError")
    assert names.asked == ["receiver.test"]
    assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_found_and_names_the_host(receiver: Receiver):
    names = Names(["127.0.0.1"], ["203.0.113.1"])

    outcome = await Sender(OPEN, look_up=names).send(attempt_at(f"http://receiver.test:{receiver.port}/"))

    assert outcome.is_delivered
    assert names.asked == ["receiver.test"]
    assert receiver.received[0].headers["host"] == f"receiver.test:{receiver.port}"


async def test_the_next_address_is_tried_when_one_does_not_answer(receiver: Receiver):
    names = Names(["127.0.0.2", "127.0.0.1"])  # the receiver listens on the second alone

    outcome = await Sender(OPEN, look_up=names).send(attempt_at(f"http://receiver.test:{receiver.port}/"))

    assert outcome.is_delivered


async def test_tls_is_verified_for_the_name_in_the_url(tls_receiver: Receiver):
    tls = ssl.create_default_context(cafile=CERTIFICATE)
    sender = Sender(PRODUCTION, look_up=Names(["127.0.0.1"]), tls=tls)

    right = await sender.send(attempt_at(f"https://receiver.test:{tls_receiver.port}/"))
    wrong = await sender.send(attempt_at(f"https://other.test:{tls_receiver.port}/"))

    assert right.is_delivered
    assert "certificate is not valid for 'other.test'" in wrong.error
    assert len(tls_receiver.received) == 1


async def test_plain_http_is_not_sent_in_production(receiver: Receiver):
    outcome = await Sender(PRODUCTION).send(attempt_at(receiver.url))

    assert outcome.error.startswith("CallbackUrlRefused")
    assert receiver.connections == 0


async def test_a_proxy_in_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    outcome = await Sender(OPEN).send(attempt_at(receiver.url))

    assert outcome.is_delivered
