"""Which terms a key can be on."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from shared.access.key_terms import KeyChanges, KeyTerms, check_terms, set_terms, terms_of
from shared.access.permissions import Role, RoleTooLow, Scope
from shared.access.tables import ApiKeyRow
from shared.errors import InvalidInput
from shared.settings import Settings

SETTINGS = Settings(database_url="", redis_url="", storage_url="", secret_key="x" * 32)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def check(role=Role.OWNER, settings=SETTINGS, **terms):
    check_terms(KeyTerms(**terms), settings, role=role, now=NOW)


@pytest.mark.parametrize(
    ("role", "beyond"),
    [
        (Role.OWNER, set()),
        (Role.ADMIN, set()),
        (Role.MEMBER, {"admin"}),
        (Role.VIEWER, {"admin", "predict", "models:write"}),
    ],
)
def test_a_key_gets_no_scope_that_its_maker_has_not(role, beyond):
    for scope in Scope:
        if scope in beyond:
            with pytest.raises(RoleTooLow, match=f"'{scope.value}'"):
                check(role, scopes=frozenset({scope}))
        else:
            check(role, scopes=frozenset({scope}))


@pytest.mark.parametrize("expires_at", [NOW, NOW - DAY, NOW + 31 * DAY])
def test_a_key_ends_in_the_future_that_the_operator_allows(expires_at):
    month = msgspec.structs.replace(SETTINGS, api_key_max_days=30)
    check(settings=month, expires_at=NOW + 30 * DAY)

    with pytest.raises(InvalidInput) as caught:
        check(settings=month, expires_at=expires_at)

    assert caught.value.errors[0].pointer == "/expires_at"


def test_a_limit_of_its_own_is_not_above_the_platforms():
    low = msgspec.structs.replace(SETTINGS, predict_per_minute=100)
    check(settings=low, rate_limit=100)
    check(settings=msgspec.structs.replace(SETTINGS, predict_per_minute=0), rate_limit=10**9)  # none

    with pytest.raises(InvalidInput, match="100 requests a minute"):
        check(settings=low, rate_limit=101)


def test_what_is_not_given_stays_and_null_takes_a_bound_away():
    row = ApiKeyRow()
    set_terms(row, KeyTerms(scopes=frozenset(Scope), models=frozenset({UUID(int=1)}), rate_limit=5))
    changes = KeyChanges(scopes=None, rate_limit=7)

    set_terms(row, changes.terms(), only=changes.changed_terms())

    assert terms_of(row) == KeyTerms(models=frozenset({UUID(int=1)}), rate_limit=7)


def test_a_scope_that_is_unknown_by_now_allows_nothing():
    row = ApiKeyRow(scopes=["predict", "experiments"])

    assert terms_of(row).scopes == {Scope.PREDICT}
