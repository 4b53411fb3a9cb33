"""What a caller may do: scopes say with which things, roles whether to look or to change. No I/O."""

from collections.abc import Collection
from enum import StrEnum

from shared.errors import NotAllowed


class Scope(StrEnum):
    """A kind of things that can be done; an API key may be confined to some."""

    PREDICT = "predict"
    JOBS = "jobs"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    ANALYTICS = "analytics"
    WEBHOOKS = "webhooks"
    ADMIN = "admin"


class Role(StrEnum):
    """What somebody is in an organisation, the mightiest first."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class RoleTooLow(NotAllowed):
    """The caller's role in the organisation does not reach so far."""

    code = "role_too_low"


class ScopeMissing(NotAllowed):
    """The API key is confined to other scopes."""

    code = "scope_missing"


def scopes_within(role: Role) -> frozenset[Scope]:
    """Those that somebody of the role can give to a key: what is beyond it would allow nothing."""
    match role:
        case Role.OWNER | Role.ADMIN:
            return frozenset(Scope)
        case Role.MEMBER:
            return frozenset(Scope) - {Scope.ADMIN}
        case Role.VIEWER:
            return frozenset(Scope) - {Scope.ADMIN, Scope.PREDICT, Scope.MODELS_WRITE}


def check_permission(
    role: Role, scopes: Collection[Scope] | None, *, needed: Collection[Scope], changing: bool
) -> None:
    """Refuse what the caller may not do.

    Args:
        scopes: of their API key; None: whatever the role allows.
        needed: all of them.
        changing: whether anything may be different, or have been used up, afterwards.

    Raises:
        RoleTooLow: nobody of this role may.
        ScopeMissing: the key may not; the text names the scope that is missing.
    """
    _check_role(role, needed=needed, changing=changing)
    missing = [] if scopes is None else [scope for scope in needed if scope not in scopes]
    if missing:
        raise ScopeMissing(
            f"the API key lacks the scope {missing[0].value!r}; give it that, or make one that has it"
        )


def _check_role(role: Role, *, needed: Collection[Scope], changing: bool) -> None:
    if Scope.ADMIN in needed and role not in {Role.OWNER, Role.ADMIN}:
        raise RoleTooLow(f"only owners and admins of the organisation may do this; you are a {role}")
    if changing and role is Role.VIEWER:
        raise RoleTooLow("a viewer looks and changes nothing; ask an admin of the organisation for a role")
