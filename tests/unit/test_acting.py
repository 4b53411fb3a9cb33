"""Who acts is known to everything that a request sets off, and forgotten with it."""

import asyncio

import pytest

from shared.access.acting import Acting, acting, acting_as, acting_tenant
from shared.access.caller import Caller
from shared.ids import new_id

ANN = Acting(Caller(user_id=new_id(), tenant_id=new_id()), "192.0.2.7")
BOB = Acting(Caller(user_id=new_id(), tenant_id=new_id()), "192.0.2.8")


async def read_later() -> Acting | None:
    await asyncio.sleep(0)
    return acting()


async def test_nobody_acts_outside_of_a_request():
    assert acting() is None


async def test_a_task_begun_for_somebody_acts_for_them_to_its_end():
    with acting_as(ANN):
        task = asyncio.create_task(read_later())

    assert await task == ANN
    assert acting() is None


async def test_requests_side_by_side_act_each_for_their_own_caller():
    async def handle(who: Acting) -> Acting | None:
        with acting_as(who):
            return await read_later()

    assert await asyncio.gather(handle(ANN), handle(BOB)) == [ANN, BOB]


async def test_what_failed_is_forgotten_too():
    with pytest.raises(RuntimeError), acting_as(ANN):
        raise RuntimeError

    assert acting() is None


def test_only_a_caller_who_is_known_acts_for_a_tenant():
    assert acting_tenant() is None
    with acting_as(Acting(None, "192.0.2.7")):
        assert acting_tenant() is None
        with acting_as(ANN):
            assert acting_tenant() == ANN.caller.tenant_id
