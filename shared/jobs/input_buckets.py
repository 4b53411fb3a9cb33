"""Which objects in buckets may be inputs: those under prefixes that the operator lists. Rules without I/O.

The platform reads them with its own credentials, which may open more than its tenants should see.
Keys are taken literally: what some reader could take for another key is refused.
"""

import re
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from shared.settings import Settings, SettingsInvalid

TENANT = "{tenant_id}"
MAX_KEY_BYTES = 1024  # as S3 has it
NOT_LISTED = "the operator lists no such bucket or prefix for you"

_OBJECT = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.+)", re.DOTALL)
_PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?", re.DOTALL)
_ODD = frozenset('%?#\\"')


class Place(msgspec.Struct, frozen=True):
    """A bucket, or what lies under a prefix of it. Prefix: without slashes around it; empty: all."""

    bucket: str
    prefix: str

    def holds(self, bucket: str, key: str) -> bool:
        """Whether the object lies in it."""
        return bucket == self.bucket and (not self.prefix or key.startswith(f"{self.prefix}/"))


def bucket_and_key(url: str) -> tuple[str, str] | None:
    """Bucket and key of an address whose form is right; None of another."""
    found = _OBJECT.fullmatch(url)
    if found is None:
        return None
    key = found["key"]
    is_odd = any(character in _ODD or not character.isprintable() for character in key)
    if is_odd or len(key.encode()) > MAX_KEY_BYTES or any(part in ("", ".", "..") for part in key.split("/")):
        return None
    return found["bucket"], key


def reason_in_bucket(url: str, settings: Settings, *, tenant_id: UUID) -> str | None:
    """Why the tenant may not read the object, if so."""
    found = bucket_and_key(url)
    if found is None:
        return (
            "it must be s3://bucket/key, the key as it is: without %, ?, # or backslashes, and without"
            " empty parts, . or .. between its slashes"
        )
    if is_own(settings.storage_url, *found):
        return NOT_LISTED
    return None if any(place.holds(*found) for place in _places(settings, tenant_id)) else NOT_LISTED


def is_own(storage_url: str, bucket: str, key: str) -> bool:
    """Whether the object is, or may be, the platform's own: what one tenant sent, all could read."""
    parts = urlsplit(storage_url)
    if parts.scheme in ("s3", "s3a"):
        spellings = (parts.path, unquote(parts.path))
        return any(Place(parts.netloc, path.strip("/")).holds(bucket, key) for path in spellings)
    if parts.scheme not in ("https", "http"):
        return False
    # Spelled with the endpoint, the bucket is a part of the host or the first of the path.
    return bucket in (parts.path.strip("/").partition("/")[0], (parts.hostname or "").partition(".s3")[0])


def check_places(settings: Settings) -> None:
    """Refuse settings that list what is no bucket.

    Raises:
        SettingsInvalid: INPUT_BUCKETS cannot be read.
    """
    _places(settings, UUID(int=0))


def _places(settings: Settings, tenant_id: UUID) -> list[Place]:
    listed = [text.strip() for text in settings.input_buckets.split(",")]
    return [_place(text, tenant_id) for text in listed if text]


def _place(text: str, tenant_id: UUID) -> Place:
    found = _PLACE.fullmatch(text)
    prefix = (found["prefix"] or "").strip("/").replace(TENANT, str(tenant_id)) if found else "{"
    if found is None or set(prefix) & {"{", "}"} or any(part in (".", "..") for part in prefix.split("/")):
        raise SettingsInvalid(
            f"INPUT_BUCKETS holds {text!r}: write s3://bucket or s3://bucket/prefix, with commas between"
            f" them, and {TENANT} where each tenant has a prefix of its own"
        )
    return Place(found["bucket"], prefix)
