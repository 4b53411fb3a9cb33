"""What PostgreSQL says of itself, told to clients. Codes: PostgreSQL's manual, appendix A."""

import pytest
from sqlalchemy.exc import DBAPIError

from api.problems import finding


class FromPostgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__("what PostgreSQL said")


def status_of(sqlstate: str) -> int:
    return finding(None, DBAPIError("SELECT 1", {}, FromPostgres(sqlstate))).status


@pytest.mark.parametrize(
    "sqlstate",
    [
        "57P03",  # cannot_connect_now: it is starting
        "57P01",  # admin_shutdown
        "53300",  # too_many_connections
        "08006",  # connection_failure
    ],
)
def test_a_server_that_will_come_back_is_worth_another_try(sqlstate):
    assert status_of(sqlstate) == 503


def test_a_mistake_of_ours_is_not():
    assert status_of("42601") == 500  # syntax_error
