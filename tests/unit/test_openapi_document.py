"""The document is made once, and by a thread: whoever asks for it holds nobody up."""

import asyncio
import threading

import msgspec
import pytest
from litestar.openapi.spec import Components, Info, OpenAPI, Server

from api.openapi_document import OpenApiDocument


class Making:
    """Makes a document when it may."""

    def __init__(self) -> None:
        self.may, self.threads = threading.Event(), []

    def __call__(self) -> OpenAPI:
        self.threads.append(threading.current_thread())
        assert self.may.wait(10)
        return OpenAPI(
            info=Info(title="Some", version="1"), servers=[Server(url="/")], components=Components()
        )


@pytest.fixture
def making():
    return Making()


@pytest.fixture
def document(making):
    return OpenApiDocument(making)


async def test_all_who_ask_get_the_one_document_that_a_thread_makes(making, document):
    asking = [asyncio.ensure_future(document.encoded()) for _ in range(50)]
    await asyncio.sleep(0)

    making.may.set()
    answers = await asyncio.gather(*asking, document.encoded())

    assert len({id(answer) for answer in answers}) == 1
    assert msgspec.json.decode(answers[0])["info"] == {"title": "Some", "version": "1"}
    assert len(making.threads) == 1
    assert making.threads[0] is not threading.main_thread()


async def test_who_leaves_while_it_is_made_does_not_end_that_for_others(making, document):
    leaving, staying = (asyncio.ensure_future(document.encoded()) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.sleep(0)
    making.may.set()

    assert await staying
    assert len(making.threads) == 1
