"""What a limiter says of a request."""

import msgspec

from shared.limits.policy import Limit

_SECOND_US = 1_000_000


class Standing(msgspec.Struct, frozen=True):
    """How a limit stands after the request."""

    limit: Limit
    remaining: int  # requests that may come now
    reset_us: int  # until it is full again


class Decision(msgspec.Struct, frozen=True):
    """Whether a request may pass, and how its limits stand."""

    allowed: bool
    standings: tuple[Standing, ...] = ()  # none where nothing was counted
    retry_us: int = 0  # until it would pass; 0 where it does

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until the request would pass: 0 if it did, else at least 1."""
        return whole_seconds(self.retry_us)


def whole_seconds(us: int) -> int:
    """Rounded up: whoever comes back then is not too early."""
    return -(-us // _SECOND_US)
