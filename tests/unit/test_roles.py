"""Who may give which role, and to whom."""

import pytest

from shared.access.permissions import Role, RoleTooLow
from shared.access.roles import administers, check_may_change, check_may_give

OWNER, ADMIN, MEMBER, VIEWER = Role
MAY_GIVE = {
    OWNER: {OWNER, ADMIN, MEMBER, VIEWER},
    ADMIN: {ADMIN, MEMBER, VIEWER},
    MEMBER: set(),
    VIEWER: set(),
}


def allowed(check, own: Role) -> set[Role]:
    """The roles that the check lets pass."""
    passed = set()
    for role in Role:
        try:
            check(own, role)
        except RoleTooLow:
            continue
        passed.add(role)
    return passed


@pytest.mark.parametrize("own", Role)
def test_nobody_gives_a_role_above_their_own(own):
    assert allowed(check_may_give, own) == MAY_GIVE[own]


@pytest.mark.parametrize("own", Role)
def test_nobody_changes_somebody_above_themselves(own):
    assert allowed(check_may_change, own) == MAY_GIVE[own]


def test_owners_and_admins_administer():
    assert [role for role in Role if administers(role)] == [OWNER, ADMIN]
