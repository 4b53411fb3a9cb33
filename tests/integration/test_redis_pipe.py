"""The connection of the real-time path: order, errors, loss and return."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from shared.background import end_tasks
from shared.messaging.redis_pipe import RedisPipe, pack
from tests.fixtures.servers import PASSWORD

pytestmark = pytest.mark.usefixtures("redis")  # empty


@pytest.fixture
async def open_pipe():
    """Connects to a URL; what it opens is closed with the test."""
    pipes: list[RedisPipe] = []

    async def opened(url: str, *, silence_s: float = 5.0) -> RedisPipe:
        pipes.append(RedisPipe(url, silence_s=silence_s))
        await pipes[-1].connect()
        return pipes[-1]

    yield opened
    for pipe in pipes:
        pipe.close()


@pytest.fixture
async def stay():
    """Has a pipe stay connected until the end of the test; gives the list that every connection adds to."""
    tasks: list[asyncio.Task] = []

    def staying(pipe: RedisPipe) -> list[str]:
        opened: list[str] = []
        tasks.append(asyncio.create_task(pipe.stay_connected(lambda: opened.append("opened"))))
        return opened

    yield staying
    await end_tasks(*tasks)


async def until(happened) -> None:
    async with asyncio.timeout(15):
        while not happened():
            await asyncio.sleep(0.01)


def with_database(url: str, number: int) -> str:
    return f"{url}?db={number}"


async def test_answers_come_in_the_order_of_the_commands(redis_url, open_pipe):
    pipe, told = await open_pipe(redis_url), []

    for number in range(1000):
        pipe.post(pack(("ECHO", number)), (told.append,))
    await pipe.call("PING")

    assert told == [str(number).encode() for number in range(1000)]


async def test_commands_packed_together_are_told_to_one_callback_each(redis_url, open_pipe):
    pipe, first, second = await open_pipe(redis_url), [], []

    packed = pack(("RPUSH", "list", "a", "b")) + pack(("LLEN", "list"))
    pipe.post(packed, (first.append, second.append))
    await pipe.call("PING")

    assert (first, second) == ([2], [2])


async def test_an_error_is_told_to_who_asked_and_to_nobody_else(redis_url, open_pipe):
    pipe, told = await open_pipe(redis_url), []

    for command in (("SET", "text", "a"), ("INCR", "text"), ("GET", "text")):
        pipe.post(pack(command), (told.append,))
    with pytest.raises(ResponseError, match="not an integer"):
        await pipe.call("INCR", "text")

    before, error, after = told
    assert (before, after) == (b"OK", b"a")
    assert isinstance(error, ResponseError)


async def test_the_database_of_the_url_is_used(redis, redis_url, open_pipe):
    pipe = await open_pipe(with_database(redis_url, 3))

    await pipe.call("SET", "here", "1")

    assert await redis.exists("here") == 0
    assert await (await open_pipe(with_database(redis_url, 3))).call("GET", "here") == b"1"


async def test_a_wrong_password_is_refused_without_being_told(redis_url):
    pipe = RedisPipe(redis_url.replace(PASSWORD, "guessed"), silence_s=5)

    with pytest.raises(RedisError) as refused:
        await pipe.connect()

    pipe.close()
    assert not pipe.connected
    assert "guessed" not in str(refused.value)


async def test_nothing_is_sent_before_the_greeting_is_done(redis, redis_url):
    pipe, told = RedisPipe(with_database(redis_url, 3), silence_s=5), []

    connecting = asyncio.create_task(pipe.connect())
    while not connecting.done():
        pipe.post(pack(("INCR", "early")), (told.append,))
        await asyncio.sleep(0)
    await connecting
    pipe.close()

    assert told
    assert {type(answer) for answer in told} == {RedisConnectionError}
    assert await redis.exists("early") == 0


async def test_a_server_that_dies_tells_everybody_who_waits(own_redis, open_pipe):
    pipe, told = await open_pipe(own_redis.url), []
    for _ in range(3):
        pipe.post(pack(("BLPOP", "nothing", 0)), (told.append,))

    own_redis.kill()
    await until(lambda: len(told) == 3)
    pipe.post(pack(("PING",)), (told.append,))

    assert {type(answer) for answer in told} == {RedisConnectionError}
    assert len(told) == 4
    assert not pipe.connected


async def test_a_lost_connection_is_made_again_and_whoever_opens_hears_of_it(own_redis, stay):
    pipe = RedisPipe(own_redis.url, silence_s=5)
    opened = stay(pipe)
    await until(lambda: opened)

    own_redis.kill()
    await own_redis.start()
    await until(lambda: len(opened) == 2)

    assert await pipe.call("PING") == b"PONG"
    pipe.close()


async def test_a_connection_that_redis_closes_is_made_again(redis, redis_url, stay):
    pipe = RedisPipe(redis_url, silence_s=5)
    opened = stay(pipe)
    await until(lambda: opened)

    own_id = await pipe.call("CLIENT", "ID")
    await redis.client_kill_filter(_id=own_id)
    await until(lambda: len(opened) == 2)

    assert await pipe.call("CLIENT", "ID") > own_id
    pipe.close()


async def test_a_redis_that_falls_silent_is_found_out(own_redis, open_pipe):
    pipe = await open_pipe(own_redis.url, silence_s=0.4)

    own_redis.hold_still()
    with pytest.raises(RedisConnectionError):
        await pipe.call("PING")

    assert not pipe.connected


async def test_a_redis_that_goes_on_again_is_connected_to(own_redis, stay):
    pipe = RedisPipe(own_redis.url, silence_s=0.4)
    opened = stay(pipe)
    await until(lambda: opened)

    own_redis.hold_still()
    with pytest.raises(RedisConnectionError):
        await pipe.call("PING")
    own_redis.go_on()
    await until(lambda: len(opened) == 2)

    assert await pipe.call("PING") == b"PONG"
    pipe.close()


async def test_a_connection_with_nothing_to_say_is_left_in_peace(redis_url, open_pipe):
    pipe = await open_pipe(redis_url, silence_s=0.2)

    await asyncio.sleep(0.6)

    assert await pipe.call("PING") == b"PONG"


async def test_a_redis_that_still_reads_its_data_is_waited_for(own_redis):
    await own_redis.client.mset({f"key {number}": "x" * 1000 for number in range(2000)})
    await own_redis.client.save()
    own_redis.kill()
    pipe, told = RedisPipe(own_redis.url, silence_s=5), []
    staying = asyncio.create_task(
        pipe.stay_connected(lambda: pipe.post(pack(("STRLEN", "key 7")), (told.append,)))
    )

    # Half a second for the reading, in which it answers, and refuses all that needs its data.
    await own_redis.start(key_load_delay=250, loading_process_events_interval_bytes=1024)
    await until(lambda: told)
    await end_tasks(staying)
    pipe.close()

    assert told == [1000]


async def test_a_call_of_somebody_who_left_disturbs_nobody(redis_url, open_pipe):
    pipe = await open_pipe(redis_url)

    left = pipe.call("BLPOP", "nothing", 0.1)
    left.cancel()

    assert await pipe.call("PING") == b"PONG"


async def test_messages_of_a_channel_reach_who_listens(redis, redis_url, open_pipe):
    pipe, heard = await open_pipe(redis_url), []
    pipe.listen(heard.append)
    await pipe.call("SUBSCRIBE", "news")

    for text in ("one", "two"):
        await redis.publish("news", text)
    await until(lambda: len(heard) == 2)

    assert heard == [[b"message", b"news", b"one"], [b"message", b"news", b"two"]]
