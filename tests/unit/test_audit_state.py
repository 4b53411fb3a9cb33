"""What the audit log keeps of things, and what it must not."""

import msgspec

from shared.audit.state import MOST_BYTES, changes, kept_state


def test_what_is_called_like_a_secret_is_not_kept_wherever_it_stands():
    state = {
        "name": "ci",
        "new_password": "hunter2",
        "options": {"api_token": "t0ken", "deep": [{"key_hash": "abc", "rows": 3}]},
    }

    kept = msgspec.json.encode(kept_state(state)).decode()

    assert not any(secret in kept for secret in ("hunter2", "t0ken", "abc"))
    assert kept_state(state)["options"]["deep"][0]["rows"] == 3


def test_a_state_that_is_too_long_loses_its_longest_part():
    kept = kept_state({"name": "iris", "description": "x" * 100_000})

    assert kept["name"] == "iris"
    assert len(msgspec.json.encode(kept)) <= MOST_BYTES


def test_only_what_differs_is_told():
    before, after = changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})

    assert (before, after) == ({"b": 2, "c": None}, {"b": 3, "c": 4})
