"""How a prediction request can end."""

from typing import Final

OK: Final = "ok"  # answered, from the cache too
INVALID: Final = "invalid"  # the request did not fit the model
LIMITED: Final = "limited"  # the caller was over its limit
OVERLOADED: Final = "overloaded"  # too much waited already, or a server did not answer
LOADING: Final = "loading"  # no worker held the model in time
TIMEOUT: Final = "timeout"  # the deadline passed
FAILED: Final = "failed"  # the model raised an error, or died
CANCELLED: Final = "cancelled"  # the client left

# The order in which rows of the database hold their counts: new ones go to the end.
OUTCOMES: Final = (OK, INVALID, LIMITED, OVERLOADED, LOADING, TIMEOUT, FAILED, CANCELLED)

# They end before, or without, the model's part. Their times would make a model look quick that is not.
UNTIMED: Final = frozenset((INVALID, LIMITED, OVERLOADED, CANCELLED))

# The platform or the model is to blame, not the caller.
ERRORS: Final = frozenset((OVERLOADED, LOADING, TIMEOUT, FAILED))
