"""Why there is no environment for a model."""

from shared.catalog.verdict import Reason
from shared.errors import TransientError


class EnvironmentUnavailable(TransientError):
    """The environment that a model needs cannot be had, now or at all.

    Attributes:
        message: what could not be had, for the model's owner.
        remedy: what to do about it.
    """

    code = "environment_unavailable"

    def __init__(self, message: str, remedy: str) -> None:
        self.message, self.remedy = message, remedy
        super().__init__(message)

    @property
    def reason(self) -> Reason:
        """Why the version is rejected."""
        return Reason(code=self.code, message=self.message, remedy=self.remedy)


class RequirementsInvalid(EnvironmentUnavailable):
    """The requirements that came with the model are not such as are installed here."""

    code = "requirements_invalid"

    @property
    def reason(self) -> Reason:
        """Why the version is rejected."""
        return Reason(code="requirements_invalid", message=self.message, remedy=self.remedy)
