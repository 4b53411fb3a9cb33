"""Whom a token speaks for, known at once when it was seen a moment ago.

An access token proves itself by its signature; an API key is looked up in PostgreSQL, and again each few
seconds. A key that was revoked or changed is forgotten as soon as its message comes. One that expires is
remembered for as long as PostgreSQL says that it is left to it, counted by this process's monotonic clock
from before PostgreSQL was asked: never longer, wherever the clocks of the two machines stand.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from shared.access.caller import Caller
from shared.access.key_text import PREFIX, key_id_of
from shared.access.known_key import InvalidKey, KeyExpired, KnownKey, find_caller
from shared.access.tokens import AccessTokens
from shared.background import end_tasks
from shared.database.engine import Database
from shared.errors import Unauthenticated
from shared.settings import Settings

T = TypeVar("T")

log = structlog.get_logger()

_KEY_PREFIX = PREFIX.encode()
_MAX_REMEMBERED = 20_000  # credentials; about 10 MB
_MAX_REFUSED = 20_000  # keys that are none
_REFUSED_FOR_S = 5.0
_LOOKUPS_AT_ONCE = 4  # of PostgreSQL's connections; the rest are for those who were let in
_PATIENCE_S = 0.5  # with PostgreSQL, where there is an older answer to go by
_ASK_AGAIN_AFTER_S = 1.0  # while PostgreSQL is away


class Remembered(msgspec.Struct):
    """A credential that was verified; the times are monotonic seconds."""

    caller: Caller
    fresh_until: float  # past it, verify again
    good_until: float  # past `fresh_until` and before this, good enough while PostgreSQL is away


class Refused(msgspec.Struct, frozen=True):
    """A key that is none, or none any longer; asked for again after a moment."""

    until: float  # monotonic seconds
    error: type[Unauthenticated]


class Credentials:
    """What this process knows of tokens and keys; under their hashes, so that memory gives none away."""

    def __init__(self, settings: Settings, database: Database, tokens: AccessTokens) -> None:
        self._ttl_s, self._grace_s = settings.credential_ttl_s, settings.credential_grace_s
        self._database, self._tokens = database, tokens
        self._remembered: dict[bytes, Remembered] = {}
        self._refused: dict[bytes, Refused] = {}
        self._lookups: dict[tuple[bytes, int], asyncio.Task[KnownKey | None]] = {}
        self._room = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._told = 0  # how often something was to be forgotten

    def known(self, token: bytes) -> Caller | None:
        """Whom the token speaks for, if that was found out a moment ago. Takes about 1 µs."""
        entry = self._remembered.get(hashlib.sha256(token).digest())
        return entry.caller if entry is not None and entry.fresh_until > time.monotonic() else None

    async def verify(self, token: bytes) -> Caller:
        """Whom the token speaks for.

        Raises:
            Unauthenticated: nobody, or nobody any longer.
        """
        if token.startswith(_KEY_PREFIX):
            return await self._verify_key(token)
        return self._verify_access_token(token)

    def forget_key(self, key_id: UUID) -> None:
        """The key was revoked, or is different from now on."""
        self._forget(lambda caller: caller.key_id == key_id)

    def forget_user(self, user_id: UUID) -> None:
        """What they may do has changed: somewhere they have another role, or none any longer."""
        self._forget(lambda caller: caller.user_id == user_id)

    def forget_all(self) -> None:
        """Look up every key again: messages may have been lost. What PostgreSQL cannot say stays good."""
        self._told += 1
        for entry in self._remembered.values():
            if entry.caller.key_id is not None:
                entry.fresh_until = 0

    async def close(self) -> None:
        """End what is being looked up; nobody waits for it any more."""
        await end_tasks(*self._lookups.values())

    def _forget(self, is_meant: Callable[[Caller], bool]) -> None:
        self._told += 1
        self._refused = {digest: each for digest, each in self._refused.items() if each.error is InvalidKey}
        entries = self._remembered.items()
        for digest in [digest for digest, entry in entries if is_meant(entry.caller)]:
            del self._remembered[digest]

    def _verify_access_token(self, token: bytes) -> Caller:
        verified = self._tokens.verify(token)
        left_s = min(verified.expires - time.time(), self._ttl_s)
        self._remember(hashlib.sha256(token).digest(), verified.caller, ttl_s=left_s, grace_s=left_s)
        return verified.caller

    async def _verify_key(self, token: bytes) -> Caller:
        digest = hashlib.sha256(token).digest()
        if key_id_of(token) is None:
            raise _refusal(InvalidKey)
        refused = self._refused.get(digest)
        if refused is not None and refused.until > time.monotonic():
            raise _refusal(refused.error)
        try:
            found = await self._look_up(token, digest)
        except Exception as error:
            if (entry := self._good_enough(digest)) is None:
                raise
            log.warning(
                "an API key goes unchecked", key_id=str(entry.caller.key_id), error=type(error).__name__
            )
            entry.fresh_until = min(time.monotonic() + _ASK_AGAIN_AFTER_S, entry.good_until)
            return entry.caller
        if found is None or found.has_expired:
            raise _refusal(_why_refused(found))
        return found.caller

    async def _look_up(self, token: bytes, digest: bytes) -> KnownKey | None:
        """Ask PostgreSQL, together with whoever asks for the same key at the same time.

        Nobody shares what was asked before something was to be forgotten: it may be that.
        """
        asked = (digest, self._told)
        lookup = self._lookups.get(asked)
        if lookup is None:
            lookup = asyncio.create_task(self._ask(token, digest), name="look up an API key")
            self._lookups[asked] = lookup
            lookup.add_done_callback(lambda task: self._end_lookup(asked, task))
        patience_s = _PATIENCE_S if self._good_enough(digest) else None
        async with asyncio.timeout(patience_s):
            return await asyncio.shield(lookup)

    async def _ask(self, token: bytes, digest: bytes) -> KnownKey | None:
        told = self._told
        async with self._room:
            asked_at = time.monotonic()
            async with self._database.transaction() as session:
                found = await find_caller(session, token)
        if found is None or found.has_expired:
            self._remembered.pop(digest, None)
        if told == self._told:  # or it may be what has just been revoked or changed
            self._note(digest, found, asked_at=asked_at)
        return found

    def _note(self, digest: bytes, found: KnownKey | None, *, asked_at: float) -> None:
        if found is None or found.has_expired:
            refused = Refused(time.monotonic() + _REFUSED_FOR_S, _why_refused(found))
            _keep(self._refused, digest, refused, most=_MAX_REFUSED)
            return
        left_s = math.inf
        if found.valid_for_s is not None:
            left_s = asked_at + found.valid_for_s - time.monotonic()
        self._remember(
            digest, found.caller, ttl_s=min(self._ttl_s, left_s), grace_s=min(self._grace_s, left_s)
        )

    def _end_lookup(self, asked: tuple[bytes, int], lookup: "asyncio.Task[KnownKey | None]") -> None:
        self._lookups.pop(asked, None)
        if not lookup.cancelled():
            lookup.exception()  # asked for, as all who waited may have lost their patience

    def _good_enough(self, digest: bytes) -> Remembered | None:
        """What was last known of a key, if it is young enough to go by."""
        entry = self._remembered.get(digest)
        return entry if entry is not None and entry.good_until > time.monotonic() else None

    def _remember(self, digest: bytes, caller: Caller, *, ttl_s: float, grace_s: float) -> None:
        now = time.monotonic()
        entry = Remembered(caller, now + ttl_s, now + max(ttl_s, grace_s))
        _keep(self._remembered, digest, entry, most=_MAX_REMEMBERED)


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The access token or API key that the request came with, in either of the two headers.

    Raises:
        Unauthenticated: there is none, or more than one, or the header holds something else.
    """
    token = b""
    for name, value in headers:
        if name not in {b"authorization", b"x-api-key"}:
            continue
        if token:
            raise Unauthenticated("send one of the headers Authorization and X-API-Key, once")
        token = _bearer(value) if name == b"authorization" else value.strip()
    if not token:
        raise Unauthenticated(
            "this needs an access token or an API key: Authorization: Bearer <token>, or X-API-Key: <key>"
        )
    return token


def _bearer(value: bytes) -> bytes:
    """The token of an `Authorization` header (RFC 6750)."""
    kind, _, token = value.partition(b" ")
    if kind.lower() != b"bearer" or not token.strip():
        raise Unauthenticated("the Authorization header must be: Bearer <access token or API key>")
    return token.strip()


def _keep(held: dict[bytes, T], digest: bytes, value: T, *, most: int) -> None:
    if len(held) >= most:
        held.clear()
    held[digest] = value


def _why_refused(found: KnownKey | None) -> type[Unauthenticated]:
    return InvalidKey if found is None else KeyExpired


def _refusal(error: type[Unauthenticated]) -> Unauthenticated:
    if error is KeyExpired:
        return KeyExpired("the API key has expired, or a rotation has given it another secret since")
    return InvalidKey("the API key is unknown, or was revoked")
