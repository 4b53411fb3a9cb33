"""Why an artifact is not served, in words its owner understands, each with what to do about it."""

from shared.catalog.verdict import Contents, Reason

SAVE_AGAIN = "Save the fitted estimator with `joblib.dump(model, 'model.joblib')` and upload that file."


class Rejected(Exception):
    """The artifact is not served. The reason becomes part of its verdict."""

    def __init__(self, code: str, message: str, remedy: str = SAVE_AGAIN) -> None:
        self.reason = Reason(code=code, message=message, remedy=remedy)
        super().__init__(message)


def truncated() -> Rejected:
    """The upload, or the save, did not run to its end."""
    return Rejected("truncated_file", "The file breaks off before its end.", "Upload the whole file again.")


def refuse_code(contents: Contents) -> None:
    """Refuse what would run code of its author where no cell can hold it.

    Raises:
        Rejected: it would.
    """
    if contents.runs_code:
        raise Rejected(
            "sandbox_unavailable",
            f"A file of this kind ({contents.format}) runs code when it is opened, and this machine cannot "
            "lock that in.",
            "Save the model in a format without code, such as ONNX, or ask whoever runs the platform to look "
            "at `make doctor`.",
        )
