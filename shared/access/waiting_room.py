"""Whoever waits for a place, in the turns of their networks: one that sends many waits behind its own.

A network is an address of IPv4 or a /64 of IPv6. Each has one turn a round, however many it sends; a block
(a /24, a /48), where one owner may have every address, has no more than BLOCK_SHARE of them.

Source: turns are start times of self-clocked fair queueing (Golestani, INFOCOM 1994), and where there is no
seat left the longest queue gives one up (Suter et al., INFOCOM 1998).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from shared.access.client_network import client_block, client_network

BLOCK_SHARE: Final = 4  # networks' worth


class Waiting(msgspec.Struct, eq=False):
    """Somebody who waits, and what they wait for.

    Attributes:
        turn: of their network; the lowest is next.
        block_turn: as far as their block has come.
    """

    network: str
    block: str
    work: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    turn: int = 0
    block_turn: int = 0


class WaitingRoom:
    """So many seats, which nobody keeps who has several while somebody else has none."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._waiting: list[Waiting] = []  # in the order they came
        self._now = 0  # the turn that was called last

    @property
    def is_full(self) -> bool:
        """Whether somebody would have to go."""
        return len(self._waiting) >= self._seats

    def admits(self, address: str) -> bool:
        """Whether there is a seat for this address: a free one, or of whose share is larger even then."""
        if not self.is_full:
            return True
        network, block = client_network(address), client_block(address)
        seats = 1 + sum(waiting.network == network for waiting in self._waiting)
        of_block = 1 + sum(waiting.block == block for waiting in self._waiting)
        return max(BLOCK_SHARE * seats, of_block) < max(self._shares())

    def enter(self, address: str, work: Callable[[], Any]) -> tuple[Waiting, Waiting | None]:
        """Take a seat; `admits` has said that there is one. Also tells who had to go for it."""
        network, block = client_network(address), client_block(address)
        turn, block_turn = self._turns(network, block)
        gone = self._last() if self.is_full else None
        if gone is not None:
            self._waiting.remove(gone)
        answer = asyncio.get_running_loop().create_future()
        waiting = Waiting(network, block, work, answer, turn=turn, block_turn=block_turn)
        self._waiting.append(waiting)
        return waiting, gone

    def call(self) -> Waiting | None:
        """Whoever's turn it is gives up their seat; None where nobody waits."""
        if not self._waiting:
            return None
        called = min(self._waiting, key=lambda waiting: waiting.turn)
        self._waiting.remove(called)
        self._now = max(self._now, called.turn)
        return called

    def leave(self, waiting: Waiting) -> None:
        """Give up a seat, if they still have it."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _turns(self, network: str, block: str) -> tuple[int, int]:
        of_network = [waiting.turn for waiting in self._waiting if waiting.network == network]
        of_block = [waiting.block_turn for waiting in self._waiting if waiting.block == block]
        block_turn = max([self._now, *of_block]) + 1
        return max(max([self._now, *of_network]) + BLOCK_SHARE, block_turn), block_turn

    def _last(self) -> Waiting:
        """Of those with the largest share, whoever would be called last."""
        ranked = zip(self._shares(), self._waiting, range(len(self._waiting)), strict=True)
        return max(ranked, key=lambda one: (one[0], one[1].turn, one[2]))[1]

    def _shares(self) -> list[int]:
        """How much of the room whoever waits has, by their network or by their block."""
        networks = Counter(waiting.network for waiting in self._waiting)
        blocks = Counter(waiting.block for waiting in self._waiting)
        return [max(BLOCK_SHARE * networks[one.network], blocks[one.block]) for one in self._waiting]
