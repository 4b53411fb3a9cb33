"""A mail is queued with what causes it, or not at all."""

import pytest
from sqlalchemy import select

from shared.database.engine import Database
from shared.mail.outbox import MAX_SUBJECT, MAX_TEXT, queue_mail
from shared.mail.tables import MailRow


async def queued(database: Database, to: str) -> list[MailRow]:
    async with database.transaction() as session:
        return list(await session.scalars(select(MailRow).where(MailRow.to == to)))


async def test_a_mail_waits_after_the_commit(database):
    async with database.transaction() as session:
        await queue_mail(session, to="ann@example.com", subject="Hello", text="World")

    assert [(mail.subject, mail.text) for mail in await queued(database, "ann@example.com")] == [
        ("Hello", "World")
    ]


async def test_what_is_undone_sends_nothing(database):
    async def cause_it() -> None:
        async with database.transaction() as session:
            await queue_mail(session, to="bob@example.com", subject="Hello", text="World")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cause_it()

    assert await queued(database, "bob@example.com") == []


async def test_a_subject_is_one_line_and_both_are_bounded(database):
    async with database.transaction() as session:
        await queue_mail(
            session, to="eve@example.com", subject="A\r\nBcc: all@example.com " + "x" * 999, text="y" * 99_999
        )

    (mail,) = await queued(database, "eve@example.com")
    assert mail.subject.startswith("A Bcc: all@example.com x")
    assert (len(mail.subject), len(mail.text)) == (MAX_SUBJECT, MAX_TEXT)
