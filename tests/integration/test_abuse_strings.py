"""Hostile texts in every string that a route takes: none becomes part of a statement, or breaks one."""

import msgspec
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from shared.access import passwords
from shared.database.base import Base
from tests.fixtures.hostile import MARK, Document

MOST_ROWS = 6  # that a request that was taken writes: a job with its input, say
QUICK = "$2b$04$xRqQKZlC6zuMXNcEJlE6ouP2y5sBeEXXk8IQsl8SBlpbxM9CPUuxu"  # of four rounds, not of twelve


@pytest.fixture
def settings(settings):
    """Without limits, as a walk is many requests; and nobody waits for a worker, as there is none."""
    unlimited = {name: 0 for name in settings.__struct_fields__ if name.endswith("_per_minute")}
    return msgspec.structs.replace(settings, verdict_wait_s=0.01, warm_wait_s=0.01, **unlimited)


@pytest.fixture
def statements():
    """Every statement that is sent to PostgreSQL meanwhile, without its parameters."""
    seen: set[str] = set()

    def note(connection, cursor, statement, parameters, context, executemany):  # noqa: ARG001
        seen.add(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def quick_hashes(monkeypatch):
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(passwords, "_NOBODY", QUICK)


@pytest.fixture
def count_rows(database):
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}', count(*) FROM {table.name}"  # noqa: S608  names of ours
        for table in Base.metadata.sorted_tables
        if table.name != "audit_log"
    )

    async def count() -> dict[str, int]:
        async with database.transaction() as session:
            rows = await session.execute(text(counts))
            return {row[0]: row[1] for row in rows}

    return count


@pytest.fixture
async def names(client, account, served):
    """Of things that are there, by the name of the path's parameter."""
    await served("iris")
    key = await client.post("/api/v1/api-keys", json={"name": "a"}, headers=account.headers)
    return {"model": "iris", "number": "1", "key": key.json()["id"]}


async def test_no_text_becomes_part_of_a_statement_or_breaks_a_route(
    app,
    client,
    account,
    names,
    statements,
    count_rows,
    quick_hashes,  # noqa: ARG001
):
    document = Document(app.openapi_schema.to_schema(), names)
    before, walked, taken = await count_rows(), set(), 0

    for hostile in document.requests():
        headers = hostile.send.get("headers", {}) | account.headers
        answer = await client.request(hostile.method, hostile.path, **hostile.send | {"headers": headers})

        walked.add((hostile.name, hostile.where))
        taken += answer.is_success and hostile.method != "GET"
        told = (hostile.name, hostile.where, answer.status_code, answer.text[:300])
        assert answer.status_code < 500, told
        assert "x-evil" not in answer.headers, told
        if answer.is_client_error and hostile.method != "HEAD":
            assert answer.headers["Content-Type"] == "application/problem+json", told

    after = await count_rows()
    assert len(walked) > 150
    assert statements
    assert [each for each in statements if MARK in each] == []
    assert all(after[table] >= rows for table, rows in before.items())  # nothing was deleted
    assert sum(after.values()) - sum(before.values()) <= MOST_ROWS * taken
