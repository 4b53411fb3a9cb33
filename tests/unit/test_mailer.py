"""Which way mails take, as the settings say."""

import pytest

from shared.mail.file_mailer import FileMailer
from shared.mail.mailer import NoMailer, open_mailer
from shared.mail.smtp_mailer import SmtpMailer
from shared.settings import Settings, SettingsInvalid


def settings(url: str, **changes: str) -> Settings:
    return Settings(
        database_url="", redis_url="", storage_url="", secret_key="x" * 32, mail_url=url, **changes
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("", NoMailer),
        ("file:///var/mail%20box", FileMailer),
        ("smtp://mail.example.com", SmtpMailer),
        ("smtps://me%40here:p%2Fw@mail.example.com:465", SmtpMailer),
    ],
)
def test_the_address_says_which_way(url, kind):
    assert type(open_mailer(settings(url))) is kind


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "file://relative/folder",
        "smtp://",
        "https://me:hush@mail.example.com",
        "smtp://me:hush@mail.example.com:port",
        "smtp://me@mail.example.com/hush",
    ],
)
def test_an_address_that_does_not_fit_is_refused_without_being_shown(url):
    with pytest.raises(SettingsInvalid) as refused:
        open_mailer(settings(url))

    assert "MAIL_URL" in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("sender", ["Modelyard", "a@", "@b.c", "a b@c d"])
def test_a_sender_that_is_no_address_is_refused(sender):
    with pytest.raises(SettingsInvalid, match="MAIL_FROM"):
        open_mailer(settings("smtp://mail.example.com", mail_from=sender))
