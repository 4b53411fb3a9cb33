"""What a lane tells of a host that cannot be started."""

import asyncio

import pytest

from workers.hosting.errors import HostDied
from workers.predict.lane import Lane


class Unstartable:
    """Stands in for a host whose artifact cannot be had."""

    loaded = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def start(self) -> None:
        raise self._error


@pytest.mark.parametrize("error", [HostDied("crashed"), OSError("no route to the bucket")])
async def test_whatever_keeps_a_host_from_starting_is_told_to_who_waits(error):
    told = []
    lane = Lane(Unstartable(error), on_outcome=lambda *_: None)

    lane.start(told.append)
    await asyncio.sleep(0.01)

    assert told == [error]
