"""An object of a bucket, in pieces, read with the platform's own credentials."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from itertools import pairwise

import obstore
import structlog
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from shared.jobs.errors import InputChanged, InputRefused, InputTooLarge, InputUnreachable
from shared.jobs.input_address import InputAddress
from shared.jobs.input_buckets import bucket_and_key
from shared.settings import Settings
from shared.storage.object_files import PIECE_BYTES

MAX_RETRIES = 4  # of one request, by the client itself
RETRY_S = 20

log = structlog.get_logger()


async def object_pieces(settings: Settings, address: InputAddress) -> AsyncGenerator[bytes, None]:
    """The object from its start to its end.

    Raises:
        InputRefused, InputChanged, InputTooLarge: it cannot be had.
        InputUnreachable: not now.
    """
    found = bucket_and_key(address.url)
    if found is None:
        raise InputRefused("it is no address of an object")
    bucket, key = found
    try:
        async for piece in _pieces(_store(bucket), key, max_bytes=settings.job_max_bytes):
            yield piece
    except (NotFoundError, FileNotFoundError):
        raise InputRefused("there is no such object") from None
    except (PermissionDeniedError, UnauthenticatedError, PermissionError):
        raise InputRefused("the platform itself may not read it: tell the operator") from None
    except PreconditionError:
        raise InputChanged("the object was replaced while it was fetched") from None
    except BaseError as error:
        log.warning("bucket_unreachable", bucket=bucket, error=type(error).__name__)
        raise InputUnreachable("the object store does not answer as it should") from None


def _store(bucket: str) -> ObjectStore:
    """The bucket, by the variables AWS_… that the platform's own store is found with."""
    retry_timeout = timedelta(seconds=RETRY_S)
    return from_url(
        f"s3://{bucket}", retry_config={"max_retries": MAX_RETRIES, "retry_timeout": retry_timeout}
    )


async def _pieces(store: ObjectStore, key: str, *, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """All pieces are of the state that the first look found."""
    head = await obstore.head_async(store, key)
    if head["size"] > max_bytes:
        raise InputTooLarge(max_bytes)
    for start, end in pairwise([*range(0, head["size"], PIECE_BYTES), head["size"]]):
        found = await obstore.get_async(
            store, key, options={"if_match": head["e_tag"], "range": (start, end)}
        )
        yield bytes(await found.bytes_async())
