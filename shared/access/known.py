"""Whom a credential speaks for, as PostgreSQL knows it."""

import msgspec

from shared.access.caller import Caller


class Known(msgspec.Struct, frozen=True):
    """What a credential stands for."""

    caller: Caller
    valid_for_s: float | None = None  # by the database's clock; 0 or less: it has expired; None: without end

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.valid_for_s is not None and self.valid_for_s <= 0
