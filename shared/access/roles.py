"""What people of each role may do to each other's roles. No I/O."""

from typing import Final

from shared.access.permissions import Role, RoleTooLow

_RANKS: Final = list(Role)  # the mightiest first


def administers(role: Role) -> bool:
    """Whether members, invitations and everybody's keys are theirs to look after."""
    return role in {Role.OWNER, Role.ADMIN}


def check_may_give(own: Role, given: Role) -> None:
    """Let nobody give a role above their own.

    Raises:
        RoleTooLow: they may not.
    """
    check_administers(own)
    if _is_above(given, own):
        raise RoleTooLow(f"nobody gives a role above their own; ask an owner to make somebody {given}")


def check_may_change(own: Role, of: Role) -> None:
    """Let nobody change or remove somebody above themselves: admins do not touch owners.

    Raises:
        RoleTooLow: they may not.
    """
    check_administers(own)
    if _is_above(of, own):
        raise RoleTooLow("only owners change or remove an owner")


def check_administers(own: Role) -> None:
    """Let only those pass who look after the organisation.

    Raises:
        RoleTooLow: they do not.
    """
    if not administers(own):
        raise RoleTooLow(f"only owners and admins of the organisation may do this; you are a {own}")


def _is_above(role: Role, other: Role) -> bool:
    return _RANKS.index(role) < _RANKS.index(other)
