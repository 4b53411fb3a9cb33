"""Opens what STORAGE_URL names. Credentials, endpoint and region of a bucket: the usual AWS_ variables."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, ObjectStore, S3Store

from shared.settings import SettingsInvalid

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

# A store that is silent is asked again after this long, and given up after that. One that restarts refuses
# connections for a while: then the number of retries would be used up within seconds, so there is none.
CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=20),  # of one request, which carries 8 MiB at most
    "allow_http": True,  # AWS_ENDPOINT_URL says by its scheme whether it is
}
RETRY: "RetryConfig" = {
    "max_retries": 10_000,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


def open_store(url: str) -> ObjectStore:
    """The folder or bucket.

    Raises:
        SettingsInvalid: the URL names neither.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return LocalStore(Path(unquote(parts.path)), mkdir=True)
    if parts.scheme == "s3" and parts.hostname:
        return open_bucket(url)
    raise SettingsInvalid("STORAGE_URL must be file:///folder or s3://bucket/prefix")


def open_bucket(url: str, *, endpoint: str = "") -> S3Store:
    """The bucket. Args: endpoint: in place of that of AWS_ENDPOINT_URL."""
    place: S3Config = {"endpoint": endpoint} if endpoint else {}
    # Objects go one at a time: a request to delete one is repeated if its answer is lost, one to delete
    # several is not, and some servers have none.
    return S3Store.from_url(
        url, config=place, client_options=CLIENT, retry_config=RETRY, disable_bulk_delete=True
    )
