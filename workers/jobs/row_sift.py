"""Records of a file that do not fit the model, told apart from those that do."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from shared.jobs.errors import UnreadableInput
from shared.jobs.job import RowError
from workers.jobs.batch import Batch
from workers.jobs.failing_rows import failing_rows

Reader = Callable[[pa.Array], Batch]  # of records; raises ArrowInvalid or UnreadableInput
Finder = Callable[[pa.Array], Mapping[int, UnreadableInput]]  # by the position of the record


def sifted(records: pa.Array, *, read: Reader, finders: Sequence[Finder]) -> Batch:
    """The records that fit as a batch, with what is wrong with the others. Numbers count from the first.

    Args:
        finders: of what can be wrong with records, the quick ones first; each is asked about those that
            the finders before it have left. In the end every record is read alone.

    Raises:
        UnreadableInput: records that fit alone do not fit together.
    """
    numbers = np.arange(len(records))
    faults: dict[int, UnreadableInput] = {}
    for find in [*finders, lambda left: _unread(left, read)]:
        if _fault(read, records) is None:
            break
        found = find(records)
        faults |= {int(numbers[row]): fault for row, fault in found.items()}
        fits = np.ones(len(records), bool)
        fits[list(found)] = False
        records, numbers = records.filter(pa.array(fits)), numbers[fits]
    batch = _read(records, read)
    refused = [_row_error(row, faults[row]) for row in sorted(faults)]
    return Batch(inputs=batch.inputs, carried=batch.carried, numbers=numbers, refused=refused)


def _read(records: pa.Array, read: Reader) -> Batch:
    try:
        return read(records)
    except pa.ArrowInvalid as error:
        raise UnreadableInput(f"the file cannot be read: {error}") from None


def _fault(read: Reader, records: pa.Array) -> UnreadableInput | None:
    try:
        read(records)
    except UnreadableInput as error:
        return error
    except pa.ArrowInvalid as error:
        return UnreadableInput(f"the record cannot be read: {error}")
    return None


def _unread(records: pa.Array, read: Reader) -> Mapping[int, UnreadableInput]:
    def fault(start: int, stop: int) -> UnreadableInput | None:
        return _fault(read, records.slice(start, stop - start))

    return dict(failing_rows(0, len(records), fault=fault))


def _row_error(row: int, fault: UnreadableInput) -> RowError:
    return RowError(row=row, column=fault.column, code=fault.code, message=str(fault))
