"""What roles and scopes allow."""

import pytest

from shared.access.permissions import Role, RoleTooLow, Scope, ScopeMissing, check_permission


@pytest.mark.parametrize("role", Role)
def test_whoever_is_in_may_look(role):
    check_permission(role, None, needed=[Scope.MODELS_READ], changing=False)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.MEMBER])
def test_members_may_change_things(role):
    check_permission(role, None, needed=[Scope.MODELS_WRITE], changing=True)


def test_a_viewer_changes_nothing():
    with pytest.raises(RoleTooLow, match="viewer"):
        check_permission(Role.VIEWER, None, needed=[Scope.PREDICT], changing=True)


@pytest.mark.parametrize("changing", [False, True])
def test_only_owners_and_admins_administer(changing):
    for role in (Role.OWNER, Role.ADMIN):
        check_permission(role, None, needed=[Scope.ADMIN], changing=changing)

    for role in (Role.MEMBER, Role.VIEWER):
        with pytest.raises(RoleTooLow):
            check_permission(role, None, needed=[Scope.ADMIN], changing=changing)


def test_a_key_does_what_its_scopes_name():
    check_permission(Role.OWNER, {Scope.PREDICT, Scope.JOBS}, needed=[Scope.PREDICT], changing=True)

    with pytest.raises(ScopeMissing, match="models:write"):
        check_permission(Role.OWNER, {Scope.PREDICT}, needed=[Scope.MODELS_WRITE], changing=True)


def test_every_scope_that_is_needed_must_be_there():
    with pytest.raises(ScopeMissing, match="jobs"):
        check_permission(Role.OWNER, {Scope.PREDICT}, needed=[Scope.PREDICT, Scope.JOBS], changing=True)


def test_a_scope_never_reaches_further_than_the_role():
    with pytest.raises(RoleTooLow):
        check_permission(Role.MEMBER, {Scope.ADMIN}, needed=[Scope.ADMIN], changing=False)
