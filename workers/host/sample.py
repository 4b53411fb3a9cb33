"""Example rows that came with an artifact."""

import os
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa

from shared.catalog.verdict import Datatype
from workers.host.error_text import describe
from workers.host.rejection import Rejected

ROWS = 200  # more would only make the verdict slower

_DATATYPES = {"b": Datatype.BOOL, "i": Datatype.INT64, "u": Datatype.INT64, "f": Datatype.FP64}


def read_sample(descriptor: int) -> pd.DataFrame:
    """The first rows of a CSV or Parquet file.

    Raises:
        Rejected: it is neither, or has no rows.
    """
    with os.fdopen(descriptor, "rb") as file:
        content = file.read()
    try:
        sample = _parse(content)
    except (ValueError, pa.ArrowException) as error:  # pandas' parser errors are ValueErrors
        raise _unusable(f"cannot be read as CSV or Parquet ({describe(error)})") from error
    if sample.empty:
        raise _unusable("has no rows")
    return sample.rename(columns=str)


def datatype_of(column: "pd.Series[Any]") -> Datatype:
    """What the model was given in this column, as far as the sample shows it."""
    return _DATATYPES.get(column.dtype.kind, Datatype.BYTES)


def _parse(content: bytes) -> pd.DataFrame:
    if content.startswith(b"PAR1"):
        return pd.read_parquet(BytesIO(content)).head(ROWS).reset_index(drop=True)
    return pd.read_csv(BytesIO(content), nrows=ROWS)


def _unusable(what: str) -> Rejected:
    return Rejected(
        "sample_unusable",
        f"The sample {what}.",
        "Send a CSV file with a header line, or a Parquet file, of rows as the model was trained on.",
    )
