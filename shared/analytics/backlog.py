"""Counts that wait for PostgreSQL, a row for each version and minute."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.analytics.tally import Tally

MAX_ROWS: Final = 5000  # about 12 MB, or four hours of twenty busy versions
BATCH_ROWS: Final = 500  # that one transaction brings to PostgreSQL

Rows = dict[tuple[UUID, datetime], Tally]  # by version and start of the minute


class Backlog:
    """What was counted and is not in PostgreSQL yet. Past its bound the oldest rows are lost."""

    def __init__(self) -> None:
        self._rows: Rows = {}

    def __len__(self) -> int:
        return len(self._rows)

    def requests(self) -> int:
        """All requests that are counted in it."""
        return sum(tally.requests for tally in self._rows.values())

    def add(self, minute: datetime, tallies: Iterable[Tally]) -> int:
        """Keep the counts of a minute, as its own from now on; the number of requests lost for that."""
        for tally in tallies:
            key = (tally.version_id, minute)
            if key in self._rows:
                self._rows[key].add(tally)
            else:
                self._rows[key] = tally
        return self._drop_oldest()

    def take(self) -> Rows:
        """Remove the oldest rows, for PostgreSQL; empty if there are none."""
        keys = list(self._rows)[:BATCH_ROWS]
        return {key: self._rows.pop(key) for key in keys}

    def put_back(self, rows: Rows) -> int:
        """Keep what PostgreSQL did not take; the number of requests lost for that."""
        newer, self._rows = self._rows, rows
        for (_, minute), tally in newer.items():
            self.add(minute, [tally])
        return self._drop_oldest()

    def _drop_oldest(self) -> int:
        lost = 0
        while len(self._rows) > MAX_ROWS:
            lost += self._rows.pop(next(iter(self._rows))).requests
        return lost
