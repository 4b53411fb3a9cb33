"""What keeps the platform from starting, said in one line to whoever started it."""

from shared.errors import OperatorError


class CannotStart(OperatorError):
    """Something on this machine is in the way. The text says what to do about it."""

    code = "cannot_start"
