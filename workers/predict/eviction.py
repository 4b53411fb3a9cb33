"""Which versions leave a full worker: the rule, without any I/O. Times are monotonic seconds."""

from collections.abc import Collection, Iterator
from uuid import UUID

import msgspec

# A version that was just loaded stays until it has answered something, or this long: those who
# waited for it must not see it go, or two versions could push each other out for ever.
FIRST_ANSWER_WITHIN_S = 2.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a version that is held stands."""

    version_id: UUID
    memory_bytes: int
    loaded_at: float
    last_used: float
    waiting_rows: int = 0
    pinned: bool = False
    awaited: bool = False  # it was loaded because somebody waited for it

    def may_go(self, now: float) -> bool:
        """Whether it may be let go at all."""
        owes_answer = self.awaited and self.last_used <= self.loaded_at
        return not self.pinned and (not owes_answer or now - self.loaded_at > FIRST_ANSWER_WITHIN_S)


def victims(standings: Collection[Standing], *, places: int, memory_bytes: int, now: float) -> list[UUID]:
    """The versions to let go, so that at least so many places and bytes become free.

    The one used longest ago goes first; those that somebody waits for only after all the others. May
    free less than what was asked for, where the rest may not go.
    """
    leaving: list[UUID] = []
    for standing in _coldest_first(standings, now):
        if places <= 0 and memory_bytes <= 0:
            break
        leaving.append(standing.version_id)
        places -= 1
        memory_bytes -= standing.memory_bytes
    return leaving


def _coldest_first(standings: Collection[Standing], now: float) -> Iterator[Standing]:
    able = (standing for standing in standings if standing.may_go(now))
    return iter(sorted(able, key=lambda standing: (standing.waiting_rows > 0, standing.last_used)))
