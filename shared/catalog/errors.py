"""What can be wrong with a request about models."""

from shared.errors import Conflict, FieldError, Gone, InvalidInput, MalformedRequest, NotFound


class ModelNotFound(NotFound):
    """No such model, or another tenant's."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"no model {model!r}")


class VersionNotFound(NotFound):
    """The model has no such version."""

    code = "version_not_found"

    def __init__(self, model: str, number: int) -> None:
        super().__init__(f"model {model!r} has no version {number}")


class VersionWithdrawn(Gone):
    """The version was deleted while somebody waited for it."""

    code = "version_withdrawn"


class VersionNotServable(Conflict):
    """The version cannot answer: it is not ready, or was rejected."""

    code = "version_not_servable"


class NothingToRollBack(Conflict):
    """No version served before the present one."""

    code = "nothing_to_roll_back"


class ModelInUse(Conflict):
    """Jobs that are not finished need the model."""

    code = "model_in_use"


class InvalidModelName(InvalidInput):
    """A name that a model cannot have."""

    code = "invalid_model_name"


class InvalidModelSettings(InvalidInput):
    """Settings that contradict each other."""

    code = "invalid_model_settings"

    def __init__(self, detail: str, *, setting: str) -> None:
        super().__init__(detail, [FieldError(message=detail, pointer=f"/settings/{setting}")])


class TooManyPinnedReplicas(InvalidModelSettings):
    """The tenant's models would always hold more processes than the platform grants it."""

    code = "too_many_pinned_replicas"


class DigestMismatch(MalformedRequest):
    """The bytes that arrived are not those that the caller's digest describes."""

    code = "digest_mismatch"
