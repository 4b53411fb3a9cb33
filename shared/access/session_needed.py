"""What somebody does who logged in: whoever holds an API key could otherwise make more of it."""

from shared.access.caller import Caller
from shared.errors import NotAllowed


class SessionNeeded(NotAllowed):
    """Only somebody who logged in may do this."""

    code = "session_needed"


def refuse_keys(caller: Caller, detail: str) -> None:
    """Refuse whoever came with an API key, with these words.

    Raises:
        SessionNeeded: they did.
    """
    if caller.key_id is not None:
        raise SessionNeeded(detail)
