"""Large tables of random numbers, as Parquet and as CSV, and a model for them."""

from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = [f"x{number:02}" for number in range(30)]
GROUP_ROWS = 131_072  # about 30 MB of float64
TRAINING_ROWS = 20_000
_READ_ROWS, _READ_BYTES = 65_536, 16 << 20

MODELS = {
    # Cheap to call: what a job costs beside the model shows.
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    # What is used for tables of this kind: the model itself takes most of the time.
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=50, random_state=0),
    # Boosting takes every core by itself, a forest only when it is told to.
    "forest": lambda: RandomForestClassifier(n_estimators=100, random_state=0),
    "threaded-forest": lambda: RandomForestClassifier(n_estimators=100, n_jobs=-1, random_state=0),
}


def write_table(path: Path, *, rows: int) -> Path:
    """Write that many rows of float64, in the format of the name's ending. Flat in memory."""
    schema = pa.schema([(column, pa.float64()) for column in COLUMNS])
    parquet = path.suffix == ".parquet"
    writer = pa.parquet.ParquetWriter(path, schema) if parquet else pa.csv.CSVWriter(path, schema)
    with writer:
        for group, first in enumerate(range(0, rows, GROUP_ROWS)):
            writer.write_table(_random_table(group, min(GROUP_ROWS, rows - first)))
    return path


def train(kind: str, path: Path) -> Path:
    """Train a model of that kind on a table like those written, and write it."""
    frame = _random_table(10**6, TRAINING_ROWS).to_pandas()
    target = (frame.to_numpy() @ np.linspace(-1, 1, len(COLUMNS)) > 0).astype(np.int64)
    joblib.dump(MODELS[kind]().fit(frame, target), path)
    return path


def read_tables(path: Path) -> Iterator[pa.Table]:
    """A file of either format, some ten thousand rows at a time."""
    if path.suffix == ".parquet":
        batches = pa.parquet.ParquetFile(path).iter_batches(_READ_ROWS)
    else:
        batches = pa.csv.open_csv(path, read_options=pa.csv.ReadOptions(block_size=_READ_BYTES))
    return (pa.Table.from_batches([batch]) for batch in batches)


def _random_table(seed: int, rows: int) -> pa.Table:
    """Six decimals, so that the CSV is of a usual size."""
    numbers = np.random.default_rng(seed).normal(size=(len(COLUMNS), rows)).round(6)
    return pa.table(dict(zip(COLUMNS, numbers, strict=True)))
