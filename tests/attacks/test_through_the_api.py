"""Hostile models on the whole platform: uploaded by one tenant, asked over HTTP, beside another tenant."""

import asyncio
from urllib.parse import urlsplit

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.attacks.deeds import answers, frames, time_spent, verdicts, whole_platform
from tests.attacks.estimator import TRIGGER, Answerer, Attacker, pickled
from tests.attacks.test_deeds import deeds
from tests.fixtures.serving import make_caller

PASSWORD = "known-to-every-test"  # of both servers, in the worker's settings
MARKUP = "<script>alert(1)</script>\x1b[2J\r\nSet-Cookie: pwned=1"


class Neighbour:
    """Another tenant, whose model answers twice its number, and goes on doing so."""

    def __init__(self, api, token) -> None:
        self._api, self._token = api, token

    async def is_served(self) -> None:
        line = await self._api.connect()
        answer = await line.ask(self._api.post("neighbour", {"inputs": [[21.0]]}, token=self._token))
        line.leave()
        assert answer.status == 200, answer.body
        assert answer.json()["predictions"] == [42.0]


@pytest.fixture(scope="module")
async def neighbour(serving, api) -> Neighbour:
    caller = await make_caller(serving.database)
    model = LinearRegression().fit(np.zeros((2, 1)), np.zeros(2))
    model.coef_ = np.array([2.0])
    version = await serving.uploads_of(caller).add("neighbour", model)
    assert version.status == "ready", version.verdict
    return Neighbour(api, serving.token_of(caller))


@pytest.fixture
def planted(serving) -> dict:
    """What an attack on this platform is told: where its servers are, and where its files."""
    urls = (serving.settings.database_url, serving.settings.redis_url)
    return {
        "ports": [urlsplit(url).port for url in urls],
        "storage": serving.settings.storage_url.removeprefix("file://"),
    }


async def told_by(api, serving, model, *, name: str) -> str:
    """All that the owner of a model gets to see: its verdict, and the answer to the call that triggers it."""
    version = await serving.uploads.add(name, pickled(model))
    line = await api.connect()
    answer = await line.ask(api.post(name, {"inputs": [[TRIGGER, 1.0]]}, "X-Deadline-Ms: 2000"))
    assert answer.status in {200, 404, 409, 422, 500, 502, 503, 504}, answer.body
    return f"{version.verdict}\n{answer.status} {answer.body.decode(errors='replace')}"


@pytest.mark.parametrize("deed", deeds(whole_platform))
async def test_a_model_reaches_nothing_of_the_platform(api, serving, neighbour, planted, deed):
    attacker = Attacker(deed, planted, when="predict")

    told = await told_by(api, serving, attacker, name=deed.__name__)

    assert "held" in told
    assert "PWNED" not in told
    assert PASSWORD not in told
    await neighbour.is_served()


@pytest.mark.parametrize("deed", deeds(verdicts))
async def test_a_forged_verdict_is_the_trouble_of_its_owner(api, serving, neighbour, planted, deed):
    await told_by(api, serving, Attacker(deed, planted, when="load"), name=deed.__name__)

    await neighbour.is_served()


FORGERIES = (frames.a_negative_time, frames.a_shape_of_nothing, frames.other_outputs, frames.two_gigabytes)
ENDINGS = (time_spent.busy_loop, time_spent.crash, time_spent.shut_its_socket, time_spent.stop_itself)


@pytest.mark.parametrize("deed", [*FORGERIES, *ENDINGS], ids=lambda deed: deed.__name__)
async def test_calls_of_others_are_answered_beside_one_that_goes_wrong(
    api, serving, neighbour, planted, deed
):
    attacker = Attacker(deed, planted, when="predict")

    wrong = asyncio.create_task(told_by(api, serving, attacker, name=f"wrong-{deed.__name__}"))
    while not wrong.done():
        await neighbour.is_served()

    assert "\n200 " not in await wrong


async def test_markup_in_a_label_is_data(api, serving, neighbour):
    def marked_up(planted, X):
        return np.array([MARKUP] * len(X), dtype=object)

    await serving.uploads.add("markup", pickled(Answerer(marked_up, {}, when="predict")))
    line = await api.connect()

    answer = await line.ask(api.post("markup", {"inputs": [[TRIGGER, 1.0]]}))

    assert answer.headers["content-type"].startswith("application/json")
    assert "set-cookie" not in answer.headers
    assert b"\x1b" not in answer.body
    assert answer.json()["predictions"] == [MARKUP]


@pytest.mark.parametrize(
    "deed", [answers.not_a_number, answers.infinite, answers.half_a_character], ids=lambda deed: deed.__name__
)
async def test_an_answer_that_json_cannot_say_is_still_an_answer(api, serving, neighbour, deed):
    told = await told_by(api, serving, Answerer(deed, {}, when="predict"), name=f"answer-{deed.__name__}")

    assert "Traceback" not in told
    await neighbour.is_served()
