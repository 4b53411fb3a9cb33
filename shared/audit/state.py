"""What is kept of a thing before and after a change: never a secret, never much. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

MOST_BYTES: Final = 8192  # of one state, as JSON
HIDDEN: Final = "(not kept)"

# Parts of names: whatever is called so is not kept, wherever it stands.
_SECRET: Final = ("password", "secret", "token", "hash", "salt", "private", "credential", "authorization")


def kept_state(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The state as it is written: plain JSON, without secrets, and without what makes it too long."""
    if state is None:
        return None
    kept: dict[str, Any] = _without_secrets(msgspec.to_builtins(state))
    while len(msgspec.json.encode(kept)) > MOST_BYTES:
        longest = max(kept, key=lambda name: len(msgspec.json.encode(kept[name])))
        kept[longest] = HIDDEN
    return kept


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two states of a thing only what differs."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if _is_secret(name) else _without_secrets(inner) for name, inner in value.items()
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    return any(part in name.lower() for part in _SECRET)
