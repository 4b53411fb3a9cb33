"""How many row groups a part in Parquet may have.

Its footer, which the join reads as a whole, describes every column of every one: with thousands of columns
that soon takes more time than the values.
"""

from typing import Final

import pyarrow as pa

from shared.jobs.errors import ColumnsDoNotFit
from workers.jobs.parquet_footer import MAX_FOOTER_BYTES

_DESCRIBED_BYTES: Final = 100  # of one column in one row group, beside its name; measured


def row_group_bytes(schema: pa.Schema) -> int:
    """What a footer holds of one row group, about."""
    return sum(_DESCRIBED_BYTES + len(name.encode()) for name in schema.names)


class FooterRoom:
    """What is left of the footer of one part."""

    def __init__(self, schema: pa.Schema) -> None:
        self._each, self._left = row_group_bytes(schema), MAX_FOOTER_BYTES

    def take(self) -> None:
        """Count another row group.

        Raises:
            ColumnsDoNotFit: there is no room for it.
        """
        self._left -= self._each
        if self._left < 0:
            raise ColumnsDoNotFit(
                "so many rows of so many columns do not fit into one Parquet file: ask for fewer `outputs`,"
                " or for the output as CSV or JSON Lines, or send the rows in several files"
            )
