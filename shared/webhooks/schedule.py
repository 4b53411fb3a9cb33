"""When a delivery that failed is tried again. Rules without I/O or clock."""

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S

# Before the first attempt, the second, and so on. Source: Standard Webhooks 1.0.0, "Retry schedule".
DELAYS_S = (
    0,
    5,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
MAX_ATTEMPTS = len(DELAYS_S)
MAX_RETRY_AFTER_S = 24 * HOUR_S
JITTER = 0.1


def delay_after(attempts: int, *, retry_after_s: float | None, chance: float) -> float | None:
    """Seconds to wait after the given number of failed attempts, or None where all are spent.

    Args:
        retry_after_s: what the receiver asked for; it lengthens the delay, within a day.
        chance: from 0 to 1, drawn by the caller: receivers that failed together are not retried together.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    asked_s = min(max(retry_after_s or 0.0, 0.0), MAX_RETRY_AFTER_S)
    return max(DELAYS_S[attempts], asked_s) * (1 + JITTER * chance)
