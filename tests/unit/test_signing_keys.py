"""Which secret is for what, and what is refused while one takes the place of another."""

import pytest

from shared.settings import Settings, SettingsInvalid

OLD, NEW, LASTING = "o" * 32, "n" * 32, "l" * 32
NEEDED = {"DATABASE_URL": "", "REDIS_URL": "redis://", "STORAGE_URL": "file:///x", "SECRET_KEY": NEW}


def settings(**given: str) -> Settings:
    env = {**NEEDED, "DATABASE_URL": "postgresql+asyncpg://", **given}
    return Settings.from_env(env)


def test_what_must_last_hangs_on_the_only_secret_until_there_is_another():
    assert settings().lasting_key == NEW
    assert settings(DATA_KEY=LASTING).lasting_key == LASTING


def test_a_secret_is_not_replaced_while_webhooks_hang_on_it():
    with pytest.raises(SettingsInvalid, match="SECRET_KEY_PREVIOUS needs DATA_KEY"):
        settings(SECRET_KEY_PREVIOUS=OLD)

    replaced = settings(SECRET_KEY_PREVIOUS=OLD, DATA_KEY=OLD)

    assert replaced.lasting_key == OLD


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_PREVIOUS", "DATA_KEY"])
def test_a_short_secret_is_refused_without_being_shown(name):
    with pytest.raises(SettingsInvalid) as refused:
        settings(**{name: "a short one"})

    assert name in str(refused.value)
    assert "a short one" not in str(refused.value)
