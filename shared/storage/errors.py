"""What may go wrong with the store, in words of our own: those of its library name hosts and requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

from shared.errors import OperatorError, Unavailable


class ObjectMissing(OperatorError):
    """The tables name an object that the store does not hold."""

    code = "object_missing"


class StorageRefused(OperatorError):
    """The store answers, and does not let us: the keys are wrong, or may do too little."""

    code = "storage_refused"


class StorageAway(Unavailable):
    """The store did not answer for as long as we ask again, or is full."""

    code = "storage_unavailable"

    def __init__(self) -> None:
        super().__init__("the store for files does not answer, or is full: try again later", retry_after_s=5)


@contextmanager
def in_our_words(key: str) -> Iterator[None]:
    """Raise what the store's library says of an object as errors of the platform."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectMissing(f"no object {key!r} in storage") from error
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        raise StorageRefused(
            "the store of STORAGE_URL refuses us: its credentials are wrong, or may not read and write there"
        ) from error
    except BaseError as error:
        raise StorageAway from error


@contextmanager
def writing_in_our_words() -> Iterator[None]:
    """The same for its files to write, which raise nothing but OSError."""
    try:
        yield
    except OSError as error:
        raise StorageAway from error
