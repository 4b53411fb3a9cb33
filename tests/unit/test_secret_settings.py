"""Secrets come from variables or files, and are seen nowhere."""

import json
import logging
import re

import pytest
import structlog

from shared.log_masking import MaskingRenderer
from shared.secret_settings import SECRETS
from shared.settings import Settings, SettingsInvalid

MARK = "m4rk3d/hidden"  # a URL has its slash as %2F
IN_URL = "m4rk3d%2Fhidden"
KEY = "c0ffee5e" + "7b9d1a3f" * 3 + MARK
ENV = {
    "DATABASE_URL": f"postgresql+asyncpg://me:{IN_URL}@localhost/x",
    "REDIS_URL": f"redis://:{IN_URL}@localhost/0",
    "BROKER_REDIS_URL": f"redis://:{IN_URL}@localhost/1",
    "CACHE_REDIS_URL": f"redis://:{IN_URL}@localhost/2",
    "STORAGE_URL": "file:///x",
    "SECRET_KEY": KEY,
    "SECRET_KEY_PREVIOUS": f"{KEY}-previous",
    "DATA_KEY": f"{KEY}-data",
    "MAIL_URL": f"smtp://me:{IN_URL}@localhost",
    "METRICS_TOKEN": f"token-{MARK}",
    "OIDC_CLIENT_SECRET": f"client-{MARK}",
}
IN_PRODUCTION = {"ENVIRONMENT": "production", "PUBLIC_URL": "https://models.example.com"}


def test_every_setting_that_sounds_like_a_secret_is_one():
    sounds = re.compile(r"secret|password|(database|redis|mail)_url|token$|_key$")

    harmless = {"tls_key", "webhook_secret_overlap_s"}  # a path, a duration

    assert {name for name in Settings.__struct_fields__ if sounds.search(name)} - harmless == set(SECRETS)


def test_each_secret_can_come_from_a_file(tmp_path):
    files = {}
    for name in SECRETS:
        (tmp_path / name).write_text(ENV[name.upper()] + "\n")
        files[f"{name.upper()}_FILE"] = str(tmp_path / name)

    assert Settings.from_env({"STORAGE_URL": "file:///x", **files}) == Settings.from_env(ENV)


@pytest.mark.parametrize("name", [secret.upper() for secret in SECRETS])
def test_a_variable_and_its_file_together_are_refused(tmp_path, name):
    with pytest.raises(SettingsInvalid, match=f"{name} and {name}_FILE"):
        Settings.from_env({**ENV, f"{name}_FILE": str(tmp_path)})


@pytest.mark.parametrize(("content", "says"), [(None, "No such file"), (b"\n", "empty"), (b"\xff", "UTF-8")])
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, says):
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    with pytest.raises(SettingsInvalid, match=rf"SECRET_KEY_FILE.*{says}"):
        Settings.from_env({**ENV, "SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / "key")})


def test_settings_show_no_secret():
    settings = Settings.from_env(ENV)

    seen = repr(settings) + str(settings) + str(list(settings.__rich_repr__()))

    assert "m4rk3d" not in seen
    assert "c0ffee" not in seen
    assert "postgresql+asyncpg://me:***@localhost/x" in seen
    assert "storage_url='file:///x'" in seen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "m4rk3d"),
        ("REDIS_URL", f"redis://:{MARK}@localhost/0"),
        ("DATABASE_URL", f"postgresql+asyncpg://me:{MARK}@localhost/x"),
        ("REDIS_URL", "redis://:[m4rk3d@localhost"),
        ("REDIS_URL", "redis://:m4rk3d#x@localhost"),
        ("CACHE_REDIS_URL", "m4rk3d"),
    ],
)
def test_an_error_names_the_variable_and_not_its_value(name, value):
    with pytest.raises(SettingsInvalid, match=name) as refusal:
        Settings.from_env({**ENV, name: value})

    assert "m4rk3d" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "key",
    [
        "x" * 64,
        "0123456789abcdef" * 4,
        "please-change-me-" + "8f3a9c1d7e5b" * 3,
        "a secret that every test may know",
        "aaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbccccc",
    ],
)
def test_production_does_not_start_with_a_key_that_can_be_guessed(key):
    with pytest.raises(SettingsInvalid, match=r"^SECRET_KEY: .* `openssl") as refusal:
        Settings.from_env({**ENV, **IN_PRODUCTION, "SECRET_KEY": key})

    assert key not in str(refusal.value)
    Settings.from_env({**ENV, "SECRET_KEY": key})  # on a desk it may be


@pytest.mark.parametrize("name", ["SECRET_KEY_PREVIOUS", "DATA_KEY"])
def test_nor_does_it_with_another_key_like_that(name):
    with pytest.raises(SettingsInvalid, match=f"^{name}: "):
        Settings.from_env({**ENV, **IN_PRODUCTION, name: "x" * 64})


@pytest.mark.parametrize("url", ["", "http://models.example.com", "https://", "models.example.com"])
def test_production_does_not_start_without_a_public_address_by_https(url):
    with pytest.raises(SettingsInvalid, match="PUBLIC_URL"):
        Settings.from_env({**ENV, **IN_PRODUCTION, "PUBLIC_URL": url})


def test_production_starts_with_random_keys():
    for key in ("5d1f0b8e3c7a926f4e8d2b6a0c9f7e1d", "Zk3vQ9_xT1mB7wLr-0YpHsNdE5uGcJfA8iXo2"):
        Settings.from_env({**ENV, **IN_PRODUCTION, "SECRET_KEY": key})


@pytest.fixture
def line():
    """Writes an event as the log does."""
    renderer = MaskingRenderer(structlog.processors.JSONRenderer(), Settings.from_env(ENV).secrets())
    return lambda **event: renderer(logging.getLogger(), "info", event)


@pytest.mark.parametrize(
    "event",
    [
        {"event": f"no Redis at redis://:{IN_URL}@localhost"},
        {"event": "no Redis at redis://somebody:m4rk3d-other@elsewhere:6379/0"},
        {"event": "x", "exception": f'Traceback:\n  "{KEY}"'},
        {"event": f"the key is {KEY}"},
        {"event": f"password authentication failed: {MARK}"},
        {"event": "x", "new_password": "m4rk3d"},
        {
            "event": "x",
            "headers": {"Authorization": "Bearer m4rk3d", "X-API-Key": "my_m4rk3d", "api_key": "m4rk3d"},
        },
    ],
)
def test_a_line_of_the_log_has_no_secret(line, event):
    assert "m4rk3d" not in line(**event)


def test_a_line_of_the_log_stays_json_and_keeps_the_rest(line):
    written = json.loads(line(event=f"at {KEY}", url="https://x:y@example.com/a", tokens=3, access_token=""))

    assert written == {
        "event": "at ***",
        "url": "https://x:***@example.com/a",
        "tokens": 3,
        "access_token": "",
    }
