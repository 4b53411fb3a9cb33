"""Documents of a provider that are kept for a while."""

import asyncio

import pytest

from shared.access.oidc.errors import OidcUnavailable
from shared.access.oidc.remembered import Remembered


class Source:
    """Gives another document each time, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fetches, self._fails = 0, fails

    async def fetch(self) -> list[int]:
        self.fetches += 1
        await asyncio.sleep(0)
        if self._fails:
            raise OidcUnavailable("away")
        return [self.fetches]


async def test_many_at_once_fetch_once():
    source = Source()
    remembered = Remembered(source.fetch, good_for_s=60)

    found = await asyncio.gather(*(remembered.get() for _ in range(5)))

    assert found == [[1]] * 5


async def test_who_waited_for_a_fetch_that_failed_does_not_try_as_well():
    source = Source(fails=True)
    remembered = Remembered(source.fetch, good_for_s=60)

    found = await asyncio.gather(*(remembered.get() for _ in range(5)), return_exceptions=True)

    assert [type(error) for error in found] == [OidcUnavailable] * 5
    assert source.fetches == 1


async def test_it_is_renewed_a_few_times_a_minute_and_once_for_all_who_want_it():
    source = Source()
    remembered = Remembered(source.fetch, good_for_s=60)
    old = await remembered.get()

    both = await asyncio.gather(remembered.renewed(old), remembered.renewed(old))
    for _ in range(10):
        await remembered.renewed(await remembered.get())

    assert both == [[2], [2]]
    assert source.fetches == 1 + 5


async def test_an_old_one_is_fetched_again():
    remembered = Remembered(Source().fetch, good_for_s=0)

    assert (await remembered.get(), await remembered.get()) == ([1], [2])


async def test_a_failure_is_over_soon(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.access.oidc.remembered._FAILED_FOR_S", 0)
    source = Source(fails=True)
    remembered = Remembered(source.fetch, good_for_s=60)

    for _ in range(2):
        with pytest.raises(OidcUnavailable):
            await remembered.get()

    assert source.fetches == 2
