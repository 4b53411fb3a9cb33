"""Parquet parts end before their footers are too large to be joined."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.jobs.errors import ColumnsDoNotFit
from workers.jobs.batch import Batch
from workers.jobs.footer_room import FooterRoom, row_group_bytes
from workers.jobs.parquet_footer import MAX_FOOTER_BYTES
from workers.jobs.parts import PredictionsPart, TablePart

WIDE = pa.schema([(f"probability_{at}", pa.float64()) for at in range(300)])
ROW = Batch(inputs=pa.table({"a": [1.0]}), carried=None, numbers=np.zeros(1, np.int64))


@pytest.mark.parametrize("kind", [PredictionsPart, TablePart])
def test_what_a_footer_holds_is_not_underestimated(kind):
    sink = io.BytesIO()
    part = kind(sink, WIDE)
    for _ in range(20):
        part.write(ROW, [pa.array([np.pi])] * len(WIDE))
    part.close()

    footer = pq.read_metadata(sink)

    assert footer.serialized_size - len(WIDE.serialize()) <= 20 * row_group_bytes(WIDE)


def test_a_part_of_too_many_row_groups_is_refused_with_a_way_out():
    room = FooterRoom(WIDE)
    for _ in range(MAX_FOOTER_BYTES // row_group_bytes(WIDE)):
        room.take()

    with pytest.raises(ColumnsDoNotFit, match="ask for fewer `outputs`, or for the output as CSV"):
        room.take()
