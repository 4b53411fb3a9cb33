"""Files that are whole, of every format, from which broken ones are made."""

import gzip
import io
import json
from collections.abc import Iterator
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

ROWS = 150


def table() -> pa.Table:
    """What all of them hold: the columns that are fed, and others beside them."""
    at = range(ROWS)
    return pa.table(
        {
            "id": at,
            "age": pa.array([None if n % 11 == 0 else n - 40 for n in at], pa.int64()),
            "pay": pa.array([None if n % 7 == 0 else n / 3 for n in at]),
            "active": pa.array([None if n % 5 == 0 else n % 2 == 0 for n in at]),
            "city": pa.array([None if n % 13 == 0 else f"a city, no. {n % 9} \u00e9" for n in at]),
            "size": pa.array(np.arange(ROWS, dtype=np.float32) / 7),
        }
    )


def nested(rows: pa.Table) -> pa.Table:
    """Other columns, of the types that make formats hard."""
    extra = {
        "tags": [["a"] * (n % 3) if n % 4 else None for n in range(ROWS)],
        "place": [{"x": n, "y": [n / 2]} if n % 6 else None for n in range(ROWS)],
        "color": pa.array([f"c{n % 4}" for n in range(ROWS)]).dictionary_encode(),
        "price": pa.array(range(ROWS), pa.decimal128(12, 2)),
        "when": pa.array(range(ROWS), pa.timestamp("us", "UTC")),
    }
    for name, column in extra.items():
        rows = rows.append_column(name, column if isinstance(column, pa.Array) else pa.array(column))
    return rows


def parquet_seeds() -> Iterator[bytes]:
    """Parquet: codecs, versions of pages, dictionaries, checksums, row groups."""
    for rows, codec, version in product(
        (table(), nested(table())), ("none", "snappy", "zstd"), ("1.0", "2.0")
    ):
        for dictionary, checksum in ((True, False), (False, True)):
            file = io.BytesIO()
            pq.write_table(
                rows,
                file,
                compression=codec,
                data_page_version=version,
                use_dictionary=dictionary,
                write_page_checksum=checksum,
                row_group_size=60,
                data_page_size=300,
            )
            yield file.getvalue()


def arrow_seeds() -> Iterator[bytes]:
    """Arrow: files and streams, compressed or not, with dictionaries."""
    for rows, codec, stream in product((table(), nested(table())), (None, "lz4", "zstd"), (False, True)):
        file = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression=codec)
        make = pa.ipc.new_stream if stream else pa.ipc.new_file
        with make(file, rows.schema, options=options) as out:
            out.write_table(rows, max_chunksize=50)
        yield file.getvalue()


def csv_seeds() -> Iterator[bytes]:
    """CSV: delimiters, line ends, marks, encodings, gzip."""
    sink = io.BytesIO()
    pacsv.write_csv(table(), sink)
    plain = sink.getvalue()
    yield plain
    yield plain.replace(b"\n", b"\r\n")
    yield b"\xef\xbb\xbf" + plain.replace(b",", b";").replace(b"city;", b"city,")
    yield plain.decode().encode("utf-16")
    yield gzip.compress(plain, mtime=0)
    yield gzip.compress(plain[:3000], mtime=0) + gzip.compress(plain[3000:], mtime=0)


def json_seeds() -> Iterator[bytes]:
    """JSON Lines: flat and nested, marks, encodings, gzip."""
    for rows in (table(), nested(table()).drop_columns(["price", "when"])):
        lines = [json.dumps(row, ensure_ascii=at % 2 == 0) for at, row in enumerate(rows.to_pylist())]
        plain = "\n".join(lines).encode()
        yield plain
        yield b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
        yield plain.decode().encode("utf-16")
        yield gzip.compress(plain, mtime=0)


SEEDS = {"parquet": parquet_seeds, "arrow": arrow_seeds, "csv": csv_seeds, "jsonl": json_seeds}
