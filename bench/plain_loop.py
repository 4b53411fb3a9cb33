"""`python -m bench.plain_loop MODEL INPUT OUTPUT`: a job's work, as a script of a few lines does it.

One process, pyarrow and scikit-learn, batch by batch, the input's columns and the prediction written.
Prints the seconds that it took, without those of imports and of loading the model.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import joblib
import pandas as pd  # noqa: F401  pyarrow would import it in the middle of the work
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sklearn.base import ClassifierMixin

BATCH_ROWS = 65_536
CSV_BLOCK_BYTES = 16 << 20  # about as many rows


def predict_file(model: ClassifierMixin, source: Path, target: Path) -> None:
    """Predict every row of `source` into `target`; both are Parquet, or both CSV."""
    batches, schema = read_batches(source)
    writer = (pa.parquet.ParquetWriter if source.suffix == ".parquet" else pa.csv.CSVWriter)(
        target, schema.append(pa.field("prediction", pa.int64()))
    )
    with writer:
        for batch in batches:
            prediction = pa.array(model.predict(batch.to_pandas()))
            writer.write_batch(batch.append_column("prediction", prediction))


def read_batches(source: Path) -> tuple[Iterable[pa.RecordBatch], pa.Schema]:
    """The file's rows in batches, flat in memory."""
    if source.suffix == ".parquet":
        file = pa.parquet.ParquetFile(source)
        return file.iter_batches(BATCH_ROWS), file.schema_arrow
    reader = pa.csv.open_csv(source, read_options=pa.csv.ReadOptions(block_size=CSV_BLOCK_BYTES))
    return reader, reader.schema


def main(model_path: str, source: str, target: str) -> None:
    model = joblib.load(model_path)
    started = time.monotonic()
    predict_file(model, Path(source), Path(target))
    print(time.monotonic() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
