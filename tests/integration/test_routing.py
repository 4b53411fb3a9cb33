"""The routes that an API process holds: how often the database is asked, and what serves while it is away."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import event, text

from api.routing import Routes
from shared.access.caller import Caller
from shared.access.tables import Tenant, User
from shared.catalog.errors import ModelNotFound
from shared.catalog.service import record_verdict
from shared.catalog.tables import ModelRow
from shared.catalog.upload import Upload, artifact_key, insert_version
from shared.database.engine import Database
from shared.ids import new_id
from tests.fixtures.api import READY
from tests.fixtures.servers import TEMPLATE, create_database


class Doors:
    """Opens and closes a database to everybody."""

    def __init__(self, server: Database, name: str) -> None:
        self._server, self._name = server, name

    async def close(self) -> None:
        await self._allow("false")
        await self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")

    async def open(self) -> None:
        await self._allow("true")

    async def _allow(self, allowed: str) -> None:
        await self._run(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS {allowed}')

    async def _run(self, statement: str) -> None:
        async with self._server.engine.connect() as connection:
            outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await outside.execute(text(statement), {"name": self._name} if ":name" in statement else {})


@pytest.fixture
async def place(postgres_url):
    """A database of the test's own, and its doors."""
    name = f"routes_{uuid4().hex}"
    url = await create_database(postgres_url, name, template=TEMPLATE)
    database, server = Database(url), Database(postgres_url, connections=1)
    yield database, Doors(server, name)
    await database.close()
    await server.close()


@pytest.fixture
async def caller(place):
    """Somebody with a model `iris` that serves."""
    database, _ = place
    tenant = Tenant(name="Ada", webhook_salt=b"salt")
    async with database.transaction() as session:
        session.add(tenant)
        await session.flush()
        user = User(tenant_id=tenant.id, email="ada@example.com", full_name="Ada", password_hash="none")
        session.add(user)
    caller = Caller(user_id=user.id, tenant_id=tenant.id)
    await add_version(database, caller)
    return caller


async def add_version(database, caller) -> None:
    """A next version of `iris` that serves."""
    version_id = new_id()
    upload = Upload(
        version_id=version_id,
        model="iris",
        file_name="iris.pkl",
        artifact_key=artifact_key(version_id),
        artifact_digest=version_id.hex * 2,
        artifact_size_bytes=1,
        sample_key=None,
    )
    async with database.transaction() as session:
        await insert_version(session, caller.tenant_id, upload)
    async with database.transaction() as session:
        await record_verdict(session, version_id, READY)


@pytest.fixture
def statements(place):
    """What the database is asked."""
    asked: list[str] = []
    engine = place[0].engine.sync_engine

    def note(connection, cursor, statement, *_) -> None:  # noqa: ARG001
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def attempts(place):
    """Attempts to connect to the database."""
    made: list[float] = []
    engine = place[0].engine.sync_engine

    def note(*_) -> None:
        made.append(asyncio.get_running_loop().time())

    event.listen(engine, "do_connect", note)
    yield made
    event.remove(engine, "do_connect", note)


@pytest.fixture
async def make_routes(settings, place):
    made: list[Routes] = []

    def make(**changes) -> Routes:
        made.append(Routes(msgspec.structs.replace(settings, **changes), place[0]))
        return made[-1]

    yield make
    for routes in made:
        await routes.close()


async def refreshed(look) -> None:
    async with asyncio.timeout(10):
        while not look():
            await asyncio.sleep(0.01)


async def test_a_flood_of_first_requests_reads_once(make_routes, caller, statements):
    routes = make_routes()
    del statements[:]
    await routes.find(caller, "iris", 1)
    one_read = len(statements)
    del statements[:]

    found = await asyncio.gather(*(routes.find(caller, "iris", None) for _ in range(200)))

    assert len({id(route) for route in found}) == 1
    assert len(statements) == one_read


async def test_one_of_a_flood_that_leaves_takes_nobody_with_it(make_routes, caller):
    routes = make_routes()
    finding = [asyncio.create_task(routes.find(caller, "iris", None)) for _ in range(10)]
    await asyncio.sleep(0)

    finding[0].cancel()

    found = await asyncio.gather(*finding[1:])
    assert {route.version.number for route in found} == {1}


async def test_a_flood_that_fails_is_told_and_asks_again_next_time(make_routes, caller, place):
    routes = make_routes()
    finding = (routes.find(caller, "wine", None) for _ in range(10))

    told = await asyncio.gather(*finding, return_exceptions=True)

    assert all(isinstance(error, ModelNotFound) for error in told)
    async with place[0].transaction() as session:
        model = await session.get_one(ModelRow, (await routes.find(caller, "iris", None)).version.model_id)
        model.name = "wine"
    assert (await routes.find(caller, "wine", None)).version.number == 1


async def test_a_route_that_is_old_serves_and_is_refreshed_behind_it(make_routes, caller, place):
    routes = make_routes(route_ttl_s=0.01)
    await routes.find(caller, "iris", None)
    await add_version(place[0], caller)  # and nobody says so
    await asyncio.sleep(0.02)

    assert routes.known(caller, "iris").version.number == 1
    await refreshed(lambda: routes.known(caller, "iris").version.number == 2)


async def test_a_change_that_is_told_counts_at_once(make_routes, caller, place):
    routes = make_routes(route_ttl_s=3600)
    model_id = (await routes.find(caller, "iris", None)).version.model_id
    await add_version(place[0], caller)

    routes.forget(model_id)

    assert routes.known(caller, "iris") is None
    assert (await routes.find(caller, "iris", None)).version.number == 2


async def test_what_was_being_read_when_a_change_was_told_is_not_kept(make_routes, caller, place):
    routes = make_routes(route_ttl_s=3600)
    model_id = (await routes.find(caller, "iris", None)).version.model_id
    routes.forget(model_id)
    reading = asyncio.create_task(routes.find(caller, "iris", None))
    await asyncio.sleep(0)

    await add_version(place[0], caller)
    routes.forget(model_id)
    await reading

    assert (await routes.find(caller, "iris", None)).version.number == 2


async def test_a_known_route_serves_while_postgres_is_away_and_is_refreshed_after(make_routes, caller, place):
    database, doors = place
    routes = make_routes(route_ttl_s=0.01, route_grace_s=3600)
    await routes.find(caller, "iris", None)
    await add_version(database, caller)
    await doors.close()
    await asyncio.sleep(0.05)

    for _ in range(20):
        assert routes.known(caller, "iris").version.number == 1
        assert (await routes.find(caller, "iris", None)).version.number == 1
        await asyncio.sleep(0.01)
    await doors.open()

    await refreshed(lambda: routes.known(caller, "iris").version.number == 2)


async def test_a_postgres_that_is_away_is_not_asked_by_every_request(make_routes, caller, place, attempts):
    _, doors = place
    routes = make_routes(route_ttl_s=0.01, route_grace_s=3600)
    await routes.find(caller, "iris", None)
    await doors.close()
    await asyncio.sleep(0.05)
    del attempts[:]

    for _ in range(100):
        assert routes.known(caller, "iris") is not None
        await asyncio.sleep(0.005)

    assert len(attempts) <= 2


async def test_past_its_grace_a_route_serves_no_longer(make_routes, caller, place):
    _, doors = place
    routes = make_routes(route_ttl_s=0.01, route_grace_s=0.05)
    await routes.find(caller, "iris", None)
    await doors.close()
    await asyncio.sleep(0.1)

    assert routes.known(caller, "iris") is None
    with pytest.raises(Exception, match="not currently accepting connections"):
        await routes.find(caller, "iris", None)


async def test_a_model_that_is_gone_serves_no_longer(make_routes, caller, place):
    routes = make_routes(route_ttl_s=0.01)
    model_id = (await routes.find(caller, "iris", None)).version.model_id
    async with place[0].transaction() as session:
        await session.delete(await session.get_one(ModelRow, model_id))
    await asyncio.sleep(0.02)

    routes.known(caller, "iris")

    await refreshed(lambda: routes.known(caller, "iris") is None)
    with pytest.raises(ModelNotFound):
        await routes.find(caller, "iris", None)
