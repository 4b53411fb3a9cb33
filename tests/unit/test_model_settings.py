"""What an owner may tune of a model, without a database."""

import msgspec
import pytest

from shared.catalog.errors import InvalidModelSettings
from shared.catalog.model_settings import ModelSettings, SettingsChanges, changed_settings


def changed(stored: dict, **changes: object) -> dict:
    return changed_settings(stored, msgspec.convert(changes, SettingsChanges))


def test_both_forms_know_the_same_settings():
    assert SettingsChanges.__struct_fields__ == ModelSettings.__struct_fields__


def test_only_what_is_given_changes():
    assert changed({"cache_ttl_s": 60}, max_batch_rows=8) == {"cache_ttl_s": 60, "max_batch_rows": 8}


def test_null_gives_the_default_back():
    assert changed({"cache_ttl_s": 60, "cache": False}, cache_ttl_s=None) == {"cache": False}


def test_what_equals_the_default_is_not_kept():
    assert changed({}, cache_ttl_s=300, accelerate=True) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_ttl_s": 0},
        {"cache_ttl_s": 86_401},
        {"max_batch_rows": 4097},
        {"max_batch_delay_ms": 100.5},
        {"max_batch_delay_ms": -1},
        {"call_timeout_ms": 9},
        {"min_replicas": 17},
        {"max_replicas": 0},
        {"accelerate": 1},
        {"accelerated": True},
    ],
)
def test_values_out_of_bounds_are_refused(changes):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(changes, SettingsChanges)


def test_more_replicas_at_least_than_at_most_are_refused_at_the_one_that_was_given():
    with pytest.raises(InvalidModelSettings) as refused:
        changed({"min_replicas": 3}, max_replicas=2)

    assert refused.value.errors[0].pointer == "/settings/max_replicas"


def test_settings_that_a_newer_release_wrote_do_not_disturb():
    assert ModelSettings.from_stored({"cache_ttl_s": 5, "colour": "blue"}) == ModelSettings(cache_ttl_s=5)
