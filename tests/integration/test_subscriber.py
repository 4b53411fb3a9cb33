"""Listening to a channel of a real Redis, over a connection that breaks."""

import asyncio

import pytest

from shared.messaging.subscriber import Subscriber


class Listener:
    """Notes what it is told; `catches_up` counts how often it was told to look for itself."""

    def __init__(self, redis):
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.caught_up: asyncio.Queue[None] = asyncio.Queue()
        self.subscriber = Subscriber(
            redis,
            "test",
            hear=self.heard.put_nowait,
            catch_up=lambda: self.caught_up.put_nowait(None),
        )


@pytest.fixture
async def listener(redis):
    listener = Listener(redis)
    listener.subscriber.start()
    async with asyncio.timeout(30):
        await listener.caught_up.get()
    yield listener
    await listener.subscriber.close()


async def test_a_message_is_heard(listener, redis):
    await redis.publish("test", "it happened")

    async with asyncio.timeout(30):
        assert await listener.heard.get() == "it happened"


async def test_whoever_lost_the_connection_looks_for_themselves(listener, redis):
    await redis.client_kill_filter(_type="pubsub")

    async with asyncio.timeout(30):
        await listener.caught_up.get()
        await redis.publish("test", "afterwards")
        assert await listener.heard.get() == "afterwards"
