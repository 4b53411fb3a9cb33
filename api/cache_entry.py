"""One reply as the cache keeps it."""

from typing import Final

import msgspec

from shared.predictions.wire import Reply

ENTRY_MAX_BYTES: Final = 64 * 1024  # a larger reply is many rows, which nobody asks twice

_FORMAT: Final = 1  # of entries; those of another are misses


class CacheEntry(msgspec.Struct, frozen=True, array_like=True):
    """A reply as it is stored.

    Attributes:
        stored_at_ms: since 1970, by the clock of the API process that stored it.
        ttl_ms: how long it is fresh from then on.
        outputs: by name, each a list with an item a row.
        compute_us: what the model took for it.
    """

    format: int
    stored_at_ms: int
    ttl_ms: int
    outputs: dict[str, list[object]]
    compute_us: int = 0

    def age_s(self, now_ms: int) -> int:
        """Whole seconds since it was stored; never negative, whatever the clocks say."""
        return max(now_ms - self.stored_at_ms, 0) // 1000

    def ttl_s(self, now_ms: int) -> int:
        """Whole seconds for which it stays fresh."""
        return max(self.stored_at_ms + self.ttl_ms - now_ms, 0) // 1000

    def reply(self, request_id: int = 0) -> Reply:
        """As a worker would have sent it."""
        return Reply(request_id, self.outputs, None, self.compute_us)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CacheEntry).decode


def encode_entry(reply: Reply, stored_at_ms: int, *, ttl_ms: int) -> bytes | None:
    """What to store for a reply; None if it is not to be stored: a failure, or too large."""
    if reply.outputs is None:
        return None
    entry = _encode(CacheEntry(_FORMAT, stored_at_ms, ttl_ms, reply.outputs, reply.compute_us))
    return entry if len(entry) <= ENTRY_MAX_BYTES else None


def decode_entry(stored: bytes | None) -> CacheEntry | None:
    """The entry; None for what is none, or one of another release."""
    if stored is None:
        return None
    try:
        entry = _decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry if entry.format == _FORMAT else None
