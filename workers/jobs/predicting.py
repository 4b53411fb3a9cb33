"""Batches through a model host, so that it computes one while the next is read and the last is written.

Rows that fail together are tried again in halves, down to the rows that fail alone. Where they end the
host, each try has a fresh one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa

from shared.catalog.verdict import Signature
from shared.jobs.job import RowError
from workers.hosting.call import Prediction
from workers.hosting.errors import HostDied, HostTimedOut, ModelFailed
from workers.jobs.batch import Batch, submit
from workers.jobs.faults import FatalRow, RowsRefused, job_error
from workers.jobs.host_loan import HostLoan

MAX_LOST_HOSTS = 200  # a chunk; to find one row among 16,384 that ends its host takes 16 of them
_LEAST_SHARE = 0.1  # of the time limit that a few rows have

Trouble = ModelFailed | HostDied | HostTimedOut
Answer = tuple[Batch, Prediction]


class PredictRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk's predictor may take upon itself.

    Attributes:
        skip: rows that fail are left out; otherwise the first of them ends the chunk.
        may_lose_hosts: rows that end their host are looked for. Otherwise that ends the attempt.
        batch_rows: of a full batch, which may take `timeout_s`; fewer rows have less time.
    """

    skip: bool
    may_lose_hosts: bool
    batch_rows: int
    timeout_s: float


class BatchPredictor:
    """Predicts the batches of one chunk in one host, or in several one after the other."""

    def __init__(
        self,
        loan: HostLoan,
        signature: Signature,
        *,
        outputs: Sequence[str] | None = None,
        rules: PredictRules,
        refuse: Callable[[Sequence[RowError]], None],
        check: Callable[[], None],
    ) -> None:
        """Takes what to do with rows that cannot be predicted.

        Args:
            outputs: to ask for; None: the main one.
            refuse: takes the rows left out, in order.
            check: raises if the work shall end.
        """
        self._loan, self._signature, self._outputs = loan, signature, outputs
        self._rules = rules
        self._refuse, self._check = refuse, check
        self._lost_hosts = 0
        self._refused: list[RowError] = []

    def predict(self, batches: Iterable[Batch]) -> Iterator[Answer]:
        """The rows with their predictions, in order. One batch is ahead of the one that is given out.

        Raises:
            RowsRefused: the model cannot predict a row, and rows are not skipped.
            FatalRow: a row ends every host, and rows are not skipped; or too many do.
            HostDied, HostTimedOut: the host gives no answer, and no others may be lost.
        """
        ahead: Batch | None = None
        for batch in batches:
            sent = self._sent(batch)
            if ahead is not None:
                yield from self._answers(ahead, following=batch if sent else None)
                if not sent:
                    self._sent(batch)
            ahead = batch
        if ahead is not None:
            yield from self._answers(ahead, following=None)

    def _answers(self, batch: Batch, *, following: Batch | None) -> Iterator[Answer]:
        trouble: Trouble | None = None
        if batch.rows:
            outcome = self._received(batch)
            if isinstance(outcome, Prediction):
                yield batch, outcome
            else:
                trouble = outcome
        if trouble is not None:
            self._clear(trouble, following)
            yield from self._sifted(batch.part(0, batch.rows), trouble)
            if following is not None:
                self._sent(following)
        self._tell(batch)

    def _sifted(self, batch: Batch, trouble: Trouble) -> Iterator[Answer]:
        """What can be predicted of rows that failed together."""
        parts = [batch] if batch.rows == 1 else _halves(batch)
        if batch.rows == 1 and isinstance(trouble, ModelFailed):
            self._leave_out(batch, trouble)
            return
        for part in parts:
            outcome = self._tried(part)
            if isinstance(outcome, Prediction):
                yield part, outcome
            elif batch.rows == 1:  # twice alone: it was not the host's own trouble
                self._leave_out(batch, outcome)
            else:
                yield from self._sifted(part, outcome)

    def _tried(self, batch: Batch) -> Prediction | Trouble:
        self._sent(batch)
        outcome = self._received(batch)
        if not isinstance(outcome, Prediction):
            self._clear(outcome, None, about=batch)
        return outcome

    def _sent(self, batch: Batch) -> bool:
        """Whether the rows are on their way. Not if the host has died, which is what it then answers too."""
        self._check()
        try:
            if batch.rows:
                submit(self._loan.host, batch, self._signature, outputs=self._outputs)
        except (HostDied, HostTimedOut):
            return False
        return True

    def _received(self, batch: Batch) -> Prediction | Trouble:
        if self._loan.host.link.death is not None:
            return self._loan.host.link.death
        try:
            return self._loan.host.receive(timeout_s=self._limit_s(batch.rows))
        except (ModelFailed, HostDied, HostTimedOut) as trouble:
            return trouble

    def _limit_s(self, rows: int) -> float:
        share = rows / self._rules.batch_rows if self._lost_hosts else 1.0
        return self._rules.timeout_s * max(_LEAST_SHARE, min(share, 1.0))

    def _clear(self, trouble: Trouble, following: Batch | None, *, about: Batch | None = None) -> None:
        """Have a host that waits for rows: a fresh one, or the same with no answer outstanding."""
        if not isinstance(trouble, ModelFailed):
            self._replace_host(trouble, about)
        elif following is not None and following.rows:
            outcome = self._received(following)  # it comes again after the rows that failed
            if isinstance(outcome, HostDied | HostTimedOut):
                self._replace_host(outcome, following)

    def _replace_host(self, trouble: HostDied | HostTimedOut, about: Batch | None) -> None:
        self._check()
        if not self._rules.may_lose_hosts:
            raise trouble
        self._lost_hosts += 1
        if self._lost_hosts > MAX_LOST_HOSTS:
            raise FatalRow(trouble, row=None if about is None else int(about.numbers[0]), too_many=True)
        self._loan.replace()

    def _leave_out(self, batch: Batch, trouble: Trouble) -> None:
        """The one row of the batch."""
        row = int(batch.numbers[0])
        if isinstance(trouble, ModelFailed):
            column = _missing_value(batch.inputs)
            refusal: RowsRefused | FatalRow = RowsRefused(str(trouble), row=row, column=column)
        else:
            refusal = FatalRow(trouble, row=row)
        if not self._rules.skip:
            raise refusal from trouble
        told = job_error(refusal)
        self._refused.append(RowError(row=row, column=told.column, code=told.code, message=str(refusal)))

    def _tell(self, batch: Batch) -> None:
        refused = sorted([*batch.refused, *self._refused], key=lambda error: error.row)
        self._refused = []
        if refused:
            self._refuse(refused)


def _halves(batch: Batch) -> list[Batch]:
    middle = batch.rows // 2
    return [batch.part(0, middle), batch.part(middle, batch.rows - middle)]


def _missing_value(row: pa.Table) -> str | None:
    """The column of the row whose value is missing or no finite number, if there is one."""
    for name in row.column_names:
        value = row[name][0].as_py()
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            return str(name)
    return None
