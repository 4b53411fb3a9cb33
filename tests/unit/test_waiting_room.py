"""Whoever waits is called in the turn of their network, and gives their seat up to whose turn is before."""

import pytest

from shared.access.client_network import client_block
from shared.access.waiting_room import WaitingRoom

FLOOD, OTHER = "203.0.113.9", "192.0.2.1"


def nothing():
    """To do."""


def fill(room, *addresses):
    return [room.enter(address, nothing)[0] for address in addresses if room.admits(address)]


def called(room):
    networks = []
    while (waiting := room.call()) is not None:
        networks.append(waiting.network)
    return networks


@pytest.fixture
def room():
    return WaitingRoom(8)


async def test_one_network_may_have_every_seat_while_nobody_else_wants_one(room):
    fill(room, *[FLOOD] * 8)

    assert room.is_full
    assert not room.admits(FLOOD)
    assert room.admits(OTHER)


async def test_who_comes_from_elsewhere_is_next_however_many_wait(room):
    fill(room, *[FLOOD] * 8)
    room.call()

    fill(room, FLOOD, OTHER)

    assert called(room)[:2] == [FLOOD, OTHER]


async def test_the_last_of_the_longest_queue_goes(room):
    waiting = fill(room, *[FLOOD] * 5, OTHER, "198.51.100.7", OTHER)

    _, gone = room.enter("198.51.100.8", nothing)

    assert gone is waiting[4]


async def test_nobody_goes_for_somebody_who_would_be_no_worse_off(room):
    fill(room, *[f"10.0.{n}.1" for n in range(8)])

    assert not room.admits(OTHER)


async def test_a_flood_of_fewer_networks_than_seats_leaves_one_at_every_moment(room):
    networks = [f"10.0.{n}.1" for n in range(7)]
    fill(room, *networks, networks[0])

    for _ in range(30):  # whoever is called comes again at once
        fill(room, room.call().network)
        assert room.is_full
        assert room.admits(OTHER)


@pytest.mark.parametrize(
    "addresses",
    [[f"203.0.113.{n}" for n in range(8)], [f"2001:db8:7:{n:x}::1" for n in range(8)]],
    ids=["a /24", "a /48"],
)
async def test_a_block_has_the_turns_of_a_few_networks(room, addresses):
    fill(room, *addresses)

    assert room.admits(OTHER)
    assert not room.admits(addresses[0])


async def test_within_a_block_who_sends_little_comes_before_who_sends_much(room):
    fill(room, *[FLOOD] * 8)

    assert room.admits("203.0.113.10")
    fill(room, "203.0.113.10")

    assert "203.0.113.10" in called(room)[:3]


async def test_all_addresses_of_a_network_of_ipv6_are_one(room):
    fill(room, *[f"2001:db8::{n:x}" for n in range(8)])

    assert not room.admits("2001:db8::ffff")


async def test_who_leaves_frees_their_seat(room):
    waiting = fill(room, *[FLOOD] * 8)

    room.leave(waiting[3])
    room.leave(waiting[3])

    assert room.admits(FLOOD)
    assert called(room) == [FLOOD] * 7


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:7:5::1", "2001:db8:7::/48"),
        ("", "unknown"),
    ],
)
def test_blocks_are_those_that_are_routed_by_themselves(address, block):
    assert client_block(address) == block
