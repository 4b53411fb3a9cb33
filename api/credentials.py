"""Whom a token speaks for, known at once when it was seen a moment ago.

An access token proves itself by its signature, and its session is looked up in PostgreSQL; so is an API
key; and again each few seconds. What ended or changed is forgotten as soon as its message comes. A key that
expires is remembered for as long as PostgreSQL says that it is left to it, counted by this process's
monotonic clock from before PostgreSQL was asked: never longer, wherever the clocks of the two machines stand.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.key_text import PREFIX, key_id_of
from shared.access.known import Known
from shared.access.known_key import InvalidKey, KeyExpired, find_caller
from shared.access.sessions import find_session_caller
from shared.access.tokens import AccessTokens, VerifiedToken
from shared.background import end_tasks
from shared.database.engine import Database
from shared.errors import Unauthenticated
from shared.settings import Settings

T = TypeVar("T")

log = structlog.get_logger()

_KEY_PREFIX = PREFIX.encode()
_MAX_REMEMBERED = 20_000  # credentials; about 10 MB
_MAX_REFUSED = 20_000  # that speak for nobody
_REFUSED_FOR_S = 5.0
_LOOKUPS_AT_ONCE = 4  # of PostgreSQL's connections; the rest are for those who were let in
_PATIENCE_S = 0.5  # with PostgreSQL, where there is an older answer to go by
_ASK_AGAIN_AFTER_S = 1.0  # while PostgreSQL is away


class SessionEnded(Unauthenticated):
    """The session of the access token ended, or its user is no longer in the organisation it is for."""

    code = "session_ended"


_WHY = {
    InvalidKey: "the API key is unknown, or was revoked",
    KeyExpired: "the API key has expired, or a rotation has given it another secret since",
    SessionEnded: "the session of this access token has ended, or you are no longer in its organisation; "
    "log in again",
}


class Asked(msgspec.Struct, frozen=True):
    """What PostgreSQL is asked about a credential."""

    digest: bytes
    find: Callable[[AsyncSession], Awaitable[Known | None]]
    unknown: type[Unauthenticated]  # the refusal where it finds nobody
    ends_at: float = math.inf  # monotonic seconds; it is good for no longer, whatever the answer


class Remembered(msgspec.Struct):
    """A credential that was verified; the times are monotonic seconds."""

    caller: Caller
    fresh_until: float  # past it, verify again
    good_until: float  # past `fresh_until` and before this, good enough while PostgreSQL is away


class Refused(msgspec.Struct, frozen=True):
    """A credential that speaks for nobody, or no longer; asked for again after a moment."""

    until: float  # monotonic seconds
    error: type[Unauthenticated]


class Credentials:
    """What this process knows of tokens and keys; under their hashes, so that memory gives none away."""

    def __init__(self, settings: Settings, database: Database, tokens: AccessTokens) -> None:
        self._ttl_s, self._grace_s = settings.credential_ttl_s, settings.credential_grace_s
        self._database, self._tokens = database, tokens
        self._remembered: dict[bytes, Remembered] = {}
        self._refused: dict[bytes, Refused] = {}
        self._lookups: dict[tuple[bytes, int], asyncio.Task[Known | None]] = {}
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
        digest = hashlib.sha256(token).digest()
        if not token.startswith(_KEY_PREFIX):
            return await self._verify_access_token(token, digest)
        if key_id_of(token) is None:
            raise _refusal(InvalidKey)
        return await self._find(Asked(digest, partial(find_caller, token=token), InvalidKey))

    def forget_key(self, key_id: UUID) -> None:
        """The key was revoked, or is different from now on."""
        self._forget(lambda caller: caller.key_id == key_id)

    def forget_session(self, session_id: UUID) -> None:
        """The session ended, or acts in another organisation."""
        self._forget(lambda caller: caller.session_id == session_id)

    def forget_user(self, user_id: UUID) -> None:
        """Their sessions may have ended, or somewhere they have another role, or none any longer."""
        self._forget(lambda caller: caller.user_id == user_id)

    def forget_organization(self, tenant_id: UUID) -> None:
        """It was deleted: its keys and sessions have ended."""
        self._forget(lambda caller: caller.tenant_id == tenant_id)

    def forget_all(self) -> None:
        """Look up everything again: messages may have been lost. What PostgreSQL cannot say stays good."""
        self._told += 1
        for entry in self._remembered.values():
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

    async def _verify_access_token(self, token: bytes, digest: bytes) -> Caller:
        verified = self._tokens.verify(token)
        ends_at = time.monotonic() + verified.expires - time.time()
        find = partial(_find_by_token, token=verified)
        return await self._find(Asked(digest, find, SessionEnded, ends_at))

    async def _find(self, asked: Asked) -> Caller:
        refused = self._refused.get(asked.digest)
        if refused is not None and refused.until > time.monotonic():
            raise _refusal(refused.error)
        try:
            found = await self._look_up(asked)
        except Exception as error:
            if (entry := self._good_enough(asked.digest)) is None:
                raise
            who = {"key_id": str(entry.caller.key_id), "session_id": str(entry.caller.session_id)}
            log.warning("a credential goes unchecked", error=type(error).__name__, **who)
            entry.fresh_until = min(time.monotonic() + _ASK_AGAIN_AFTER_S, entry.good_until)
            return entry.caller
        if found is None or found.has_expired:
            raise _refusal(_why_refused(asked, found))
        return found.caller

    async def _look_up(self, asked: Asked) -> Known | None:
        """Ask PostgreSQL, together with whoever asks for the same credential at the same time.

        Nobody shares what was asked before something was to be forgotten: it may be that.
        """
        at_once = (asked.digest, self._told)
        lookup = self._lookups.get(at_once)
        if lookup is None:
            lookup = asyncio.create_task(self._ask(asked), name="look up a credential")
            self._lookups[at_once] = lookup
            lookup.add_done_callback(lambda task: self._end_lookup(at_once, task))
        patience_s = _PATIENCE_S if self._good_enough(asked.digest) else None
        async with asyncio.timeout(patience_s):
            return await asyncio.shield(lookup)

    async def _ask(self, asked: Asked) -> Known | None:
        told = self._told
        async with self._room:
            asked_at = time.monotonic()
            async with self._database.transaction() as session:
                found = await asked.find(session)
        if found is None or found.has_expired:
            self._remembered.pop(asked.digest, None)
        if told == self._told:  # or it may be what has just been revoked or changed
            self._note(asked, found, asked_at=asked_at)
        return found

    def _note(self, asked: Asked, found: Known | None, *, asked_at: float) -> None:
        now = time.monotonic()
        if found is None or found.has_expired:
            refused = Refused(now + _REFUSED_FOR_S, _why_refused(asked, found))
            _keep(self._refused, asked.digest, refused, most=_MAX_REFUSED)
            return
        ends_at = asked.ends_at
        if found.valid_for_s is not None:
            ends_at = min(ends_at, asked_at + found.valid_for_s)
        fresh_until = min(now + self._ttl_s, ends_at)
        good_until = min(now + max(self._ttl_s, self._grace_s), ends_at)
        entry = Remembered(found.caller, fresh_until, good_until)
        _keep(self._remembered, asked.digest, entry, most=_MAX_REMEMBERED)

    def _end_lookup(self, at_once: tuple[bytes, int], lookup: "asyncio.Task[Known | None]") -> None:
        self._lookups.pop(at_once, None)
        if not lookup.cancelled():
            lookup.exception()  # asked for, as all who waited may have lost their patience

    def _good_enough(self, digest: bytes) -> Remembered | None:
        """What was last known of a credential, if it is young enough to go by."""
        entry = self._remembered.get(digest)
        return entry if entry is not None and entry.good_until > time.monotonic() else None


async def _find_by_token(session: AsyncSession, *, token: VerifiedToken) -> Known | None:
    caller = await find_session_caller(session, token.session_id)
    return Known(caller) if caller is not None and caller.user_id == token.user_id else None


def _keep(held: dict[bytes, T], digest: bytes, value: T, *, most: int) -> None:
    if len(held) >= most:
        held.clear()
    held[digest] = value


def _why_refused(asked: Asked, found: Known | None) -> type[Unauthenticated]:
    return asked.unknown if found is None else KeyExpired


def _refusal(error: type[Unauthenticated]) -> Unauthenticated:
    return error(_WHY[error])
