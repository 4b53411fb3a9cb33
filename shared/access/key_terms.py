"""What a key may do, and for how long: what its maker asks for, within what they may themselves. No I/O."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.access.permissions import Role, RoleTooLow, Scope, scopes_within
from shared.access.tables import ApiKeyRow
from shared.errors import FieldError, InvalidInput
from shared.settings import Settings

_DAY = timedelta(days=1)


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a key.

    Attributes:
        scopes: None: whatever its maker's role allows.
        models: ids of those that it may use; None: all of the tenant's.
        expires_at: None: never.
        rate_limit: requests a minute, of each kind; None: as many as the platform allows.
    """

    scopes: frozenset[Scope] | None = None
    models: frozenset[UUID] | None = None
    expires_at: datetime | None = None
    rate_limit: int | None = None


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different of a key; the rest stays."""

    name: str | UnsetType = UNSET
    scopes: frozenset[Scope] | UnsetType | None = UNSET
    models: frozenset[UUID] | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    rate_limit: int | UnsetType | None = UNSET

    def terms(self) -> KeyTerms:
        """What is new of the terms; what stays is left out, and was right before."""
        return KeyTerms(**{name: getattr(self, name) for name in self.changed_terms()})

    def changed_terms(self) -> list[str]:
        """The names of those that are given."""
        return [name for name in KeyTerms.__struct_fields__ if getattr(self, name) is not UNSET]


def check_terms(terms: KeyTerms, settings: Settings, *, role: Role, now: datetime) -> None:
    """Refuse what its maker may not give away, and what makes no sense.

    Raises:
        RoleTooLow: a scope reaches further than the role.
        InvalidInput: a term does not fit; the text says what would.
    """
    beyond = sorted((terms.scopes or frozenset()) - scopes_within(role))
    if beyond:
        raise RoleTooLow(
            f"a {role} cannot give a key the scope {beyond[0].value!r}: it reaches beyond the role"
        )
    if terms.expires_at is not None:
        _check_expiry(terms.expires_at, now, most_days=settings.api_key_max_days)
    most = settings.predict_per_minute
    if terms.rate_limit is not None and most and terms.rate_limit > most:
        raise _misfit("rate_limit", f"the platform allows {most} requests a minute, and a key no more")


def set_terms(row: ApiKeyRow, terms: KeyTerms, *, only: Collection[str] = KeyTerms.__struct_fields__) -> None:
    """Write the terms down.

    Args:
        only: those of them.
    """
    written = {
        "scopes": None if terms.scopes is None else sorted(scope.value for scope in terms.scopes),
        "models": None if terms.models is None else sorted(terms.models),
        "expires_at": terms.expires_at,
        "rate_limit": terms.rate_limit,
    }
    for name in only:
        setattr(row, name, written[name])


def terms_of(row: ApiKeyRow) -> KeyTerms:
    """What stands in the tables. A scope that is unknown by now counts for nothing."""
    known = {scope.value for scope in Scope}
    return KeyTerms(
        scopes=None if row.scopes is None else frozenset(Scope(each) for each in row.scopes if each in known),
        models=None if row.models is None else frozenset(row.models),
        expires_at=row.expires_at,
        rate_limit=row.rate_limit,
    )


def _check_expiry(expires_at: datetime, now: datetime, *, most_days: int) -> None:
    if expires_at <= now:
        raise _misfit("expires_at", f"that time is over: it is {now:%Y-%m-%dT%H:%M:%SZ}")
    if expires_at > now + most_days * _DAY:
        raise _misfit(
            "expires_at", f"a key lasts {most_days} days at most; leave it out for one that does not end"
        )


def _misfit(name: str, text: str) -> InvalidInput:
    return InvalidInput(f"{name} does not fit: {text}", [FieldError(message=text, pointer=f"/{name}")])
