"""HEAD is answered as GET is, and ends whatever GET would have gone on with."""

import asyncio

import httpx
import pytest
from litestar import Litestar, Response, get, head, post
from litestar.params import FromPath
from litestar.response import Stream

from api.allowed_methods import tell_all_methods
from api.head_answers import WITHOUT_HEAD, answer_head

READ: list[int] = []


async def endless():
    while True:
        READ.append(1)
        yield b"more"
        await asyncio.sleep(0)


@get("/file", sync_to_thread=False)
def file() -> Stream:
    return Stream(endless(), headers={"Content-Length": "1000000"})


@get("/things/{thing:int}", sync_to_thread=False)
def thing(thing: FromPath[int]) -> dict[str, int]:
    return {"thing": thing}


@get("/begins", opt=WITHOUT_HEAD, sync_to_thread=False)
def begins() -> None:
    READ.append(1)


@get("/own", sync_to_thread=False)
def own() -> str:
    return "content"


@head("/own", sync_to_thread=False)
def own_head() -> Response[None]:
    return Response(None, headers={"Upload-Offset": "7"})


@post("/own", sync_to_thread=False)
def change() -> None: ...


@pytest.fixture
async def client():
    READ.clear()
    app = Litestar([file, thing, begins, own, own_head, change], openapi_config=None)
    answer_head(app)
    tell_all_methods(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_the_fields_are_those_of_get(client):
    got, asked = await client.get("/things/12"), await client.head("/things/12")

    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers == got.headers
    assert asked.headers["Content-Length"] == str(len('{"thing":12}'))


async def test_nothing_is_read_for_a_stream_that_would_have_no_end(client):
    async with asyncio.timeout(10):
        asked = await client.head("/file")

    assert asked.headers["Content-Length"] == "1000000"
    assert len(READ) <= 1


async def test_what_get_would_begin_is_not_begun(client):
    asked = await client.head("/begins")

    assert (asked.status_code, asked.headers["Allow"]) == (405, "GET, OPTIONS")
    assert READ == []


async def test_an_answer_of_its_own_stays(client):
    assert (await client.head("/own")).headers["Upload-Offset"] == "7"


async def test_options_and_refusals_tell_of_head(client):
    told, refused = await client.options("/things/1"), await client.put("/things/1")

    assert told.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_what_is_not_there_is_not_there(client):
    assert (await client.head("/nothing")).status_code == 404
    assert (await client.head("/things/x")).status_code == 404
