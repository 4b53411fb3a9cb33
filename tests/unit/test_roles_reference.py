"""The page of roles says what the code does."""

import re
from pathlib import Path

import pytest

from api.app import create_app
from api.permissions import check_route
from shared.access.caller import Caller
from shared.access.permissions import Role, RoleTooLow
from shared.access.roles import check_may_change, check_may_give
from shared.ids import new_id
from shared.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/reference/roles.md").read_text()
MAY = re.compile(r"^\|.*\| `([A-Z]+) (/\S+)` \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", re.MULTILINE)
GIVES = re.compile(r"^\| (\w+) \| (nobody|[a-z]+(?:, [a-z]+)*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def handlers():
    """Every handler, by its method and its path as the page spells it."""
    nowhere = Settings(
        database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1",
        storage_url="file:///nowhere",
        secret_key="x" * 32,
    )
    return {
        (method, re.sub(r":\w+}", "}", route.path)): handler
        for route in create_app(nowhere).routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
    }


def passes(check, *given) -> bool:
    try:
        check(*given)
    except RoleTooLow:
        return False
    return True


def test_each_role_may_do_what_the_page_says(handlers):
    rows = MAY.findall(PAGE)

    told = {(method, path): answers for method, path, *answers in rows}
    found = {}
    for method, path in told:
        connection = {"method": method, "route_handler": handlers[method, path]}
        callers = [Caller(user_id=new_id(), tenant_id=new_id(), role=role) for role in Role]
        may = [passes(check_route, connection, caller) for caller in callers]
        found[method, path] = ["yes" if each else "no" for each in may]
    assert len(told) > 10
    assert found == told


def test_each_role_gives_what_the_page_says():
    told = {own: [] if given == "nobody" else given.split(", ") for own, given in GIVES.findall(PAGE)}

    for check in (check_may_give, check_may_change):
        found = {own: [role for role in Role if passes(check, own, role)] for own in Role}
        assert found == told
