"""What can go wrong with a model host, seen from outside."""

from shared.errors import CallerError, TransientError


class HostDied(TransientError):
    """The host ended, or had to be killed, before it answered.

    Attributes:
        how: for people: "crashed (SIGSEGV)", "exited with status 3".
        out_of_memory: most likely so: the kernel killed it, and nobody else asked for that.
        forbidden_call: it was ended for a system call that no model makes.
        printed: the end of what the model printed.
    """

    code = "host_died"

    def __init__(
        self, how: str, *, out_of_memory: bool = False, forbidden_call: bool = False, printed: str = ""
    ) -> None:
        self.how = how
        self.out_of_memory = out_of_memory
        self.forbidden_call = forbidden_call
        self.printed = printed
        super().__init__(f"the model's process {how}")


class HostGone(HostDied):
    """The host ended before it came to this call: through another one, or by itself."""


class HostTimedOut(TransientError):
    """No whole answer in the time given. The host was killed."""

    code = "host_timed_out"

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"the model gave no answer within {timeout_s:g} s, and was stopped")


class ModelFailed(CallerError):
    """The model raised an error on these rows. The text carries no path and no stack."""

    code = "model_failed"
