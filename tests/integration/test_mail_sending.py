"""Mails that wait are sent: once, by whichever scheduler, to a real server or into a folder."""

import asyncio
import socket
import stat
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import func, select, update

from shared.mail.due import DELAYS_S, MAX_ATTEMPTS
from shared.mail.mailer import open_mailer
from shared.mail.outbox import queue_mail
from shared.mail.tables import MailRow
from tests.fixtures.mail_server import CERTIFICATE, PASSWORD, USER, check_password, mail_server, tls
from workers.mails import MailRound

SECRET = "a token that no log may hold"


@pytest.fixture
def round_of(settings, database):
    """Rounds of one scheduler, with this MAIL_URL."""

    def make(url: str, **changes) -> MailRound:
        changed = msgspec.structs.replace(
            settings, mail_url=url, mail_from="Yard <yard@example.com>", **changes
        )
        return MailRound(database, open_mailer(changed))

    return make


@pytest.fixture
def queue(database):
    async def queue(count: int = 1) -> None:
        async with database.transaction() as session:
            for number in range(count):
                await queue_mail(session, to=f"u{number}@example.com", subject="Grüße", text=SECRET)

    return queue


@pytest.fixture
def resolves(monkeypatch):
    """The name in the test's certificate, and whom it is signed by."""
    ask = socket.getaddrinfo

    def here(host, *rest, **named):
        return ask("127.0.0.1" if host == "receiver.test" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


async def waiting(database) -> list[MailRow]:
    async with database.transaction() as session:
        return list(await session.scalars(select(MailRow)))


async def make_due(database) -> None:
    async with database.transaction() as session:
        await session.execute(update(MailRow).values(next_attempt_at=func.now()))


async def test_a_mail_becomes_a_file_for_its_owners_eyes(round_of, queue, *, tmp_path, database):
    folder = tmp_path / "a folder" / "mail"
    await queue()

    await round_of(f"file://{quote(str(folder))}").send_due()

    (path,) = folder.iterdir()
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "u0@example.com",
        "Yard <yard@example.com>",
        "Grüße",
    )
    assert mail.get_content().strip() == SECRET
    assert mail["Message-ID"] == f"<{path.stem}@example.com>"
    assert await waiting(database) == []


async def test_two_schedulers_send_each_mail_once(round_of, queue, database):
    await queue(8)
    with mail_server() as server:
        url = f"smtp://127.0.0.1:{server.port}"

        await asyncio.gather(*(round_of(url).send_due() for _ in range(3)))

    assert sorted(mail["To"] for mail in server.mails) == [f"u{number}@example.com" for number in range(8)]
    assert await waiting(database) == []


async def test_a_server_that_is_away_loses_nothing(round_of, queue, *, database, capsys):
    await queue()
    away = round_of("smtp://someone:secret-of-the-server@127.0.0.1:1")

    await away.send_due()
    await away.send_due()  # it is not due: nothing happens

    (row,) = await waiting(database)
    assert row.attempts == 1
    await make_due(database)
    with mail_server() as server:
        await round_of(f"smtp://127.0.0.1:{server.port}").send_due()
    assert [mail.get_content().strip() for mail in server.mails] == [SECRET]
    logged = capsys.readouterr().out
    assert "mail_not_sent" in logged
    for kept_quiet in (SECRET, "u0@example.com", "secret-of-the-server"):
        assert kept_quiet not in logged


async def test_a_mail_waits_longer_after_each_attempt_and_is_given_up_after_a_day(
    round_of, queue, *, database
):
    await queue()
    delays, now = [], func.now()
    for _ in range(MAX_ATTEMPTS - 1):
        await make_due(database)
        await round_of("").send_due()
        async with database.transaction() as session:
            delays.append(await session.scalar(select(MailRow.next_attempt_at - now)))

    await make_due(database)
    await round_of("").send_due()

    assert [round(delay / timedelta(seconds=10)) for delay in delays] == [each // 10 for each in DELAYS_S]
    assert await waiting(database) == []


async def test_a_mail_whose_sender_died_is_sent_by_another_once_its_lease_is_over(round_of, queue, database):
    await queue()
    async with database.transaction() as session:  # what a claim leaves
        held = func.now() + timedelta(seconds=60)
        await session.execute(update(MailRow).values(attempts=1, next_attempt_at=held))
    with mail_server() as server:
        scheduler = round_of(f"smtp://127.0.0.1:{server.port}")
        await scheduler.send_due()
        during = len(server.mails)
        await make_due(database)
        await scheduler.send_due()

    assert (during, len(server.mails)) == (0, 1)


async def test_a_mail_that_killed_its_last_sender_is_given_up(round_of, queue, database):
    await queue()
    async with database.transaction() as session:
        await session.execute(update(MailRow).values(attempts=MAX_ATTEMPTS))

    await round_of("smtp://127.0.0.1:1").send_due()

    assert await waiting(database) == []


@pytest.mark.parametrize(("answer", "left"), [("451 later", 1), ("554 never", 0)])
async def test_a_refusal_for_good_is_not_tried_again(round_of, queue, database, *, answer, left):
    await queue()
    with mail_server() as server:
        server.answer = answer

        await round_of(f"smtp://127.0.0.1:{server.port}").send_due()

    assert len(await waiting(database)) == left


@pytest.mark.usefixtures("resolves")
async def test_production_sends_over_tls_with_the_password(round_of, queue, database):
    await queue()
    options = {"tls_context": tls(), "authenticator": check_password, "auth_required": True}
    with mail_server(**options) as server:
        url = f"smtp://{USER}:{quote(PASSWORD, safe='')}@receiver.test:{server.port}"

        await round_of(url, environment="production").send_due()

    assert server.over_tls == [True]
    assert await waiting(database) == []


@pytest.mark.usefixtures("resolves")
async def test_smtps_is_over_tls_from_the_first_byte(round_of, queue, database):
    await queue()
    with mail_server(ssl_context=tls()) as server:
        await round_of(f"smtps://receiver.test:{server.port}", environment="production").send_due()

    assert len(server.mails) == 1
    assert await waiting(database) == []


async def test_production_sends_nothing_in_the_clear(round_of, queue, database):
    await queue()
    with mail_server() as server:
        await round_of(f"smtp://127.0.0.1:{server.port}", environment="production").send_due()

    assert server.mails == []
    assert len(await waiting(database)) == 1


async def test_a_server_that_cannot_prove_its_name_gets_nothing(round_of, queue, database):
    await queue()
    with mail_server(tls_context=tls()) as server:
        await round_of(f"smtp://127.0.0.1:{server.port}", environment="production").send_due()

    assert server.mails == []
    assert len(await waiting(database)) == 1
