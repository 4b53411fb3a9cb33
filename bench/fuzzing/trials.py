"""What is tried: for each kind of input, a broken one by its number, and what must come of it."""

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from bench.fuzzing.forms import form_seeds, received
from bench.fuzzing.guarded import Trial
from bench.fuzzing.mutations import mutated
from bench.fuzzing.reading import Manner, read_as_a_job
from bench.fuzzing.references import misread, refused_by_all
from bench.fuzzing.seeds import SEEDS, parquet_seeds
from shared.errors import CallerError
from shared.jobs.job import FileFormat
from workers.jobs.thrift_compact import MalformedThrift, decode_struct, encode_struct

_OUTPUTS = (None, None, FileFormat.PARQUET, FileFormat.CSV, FileFormat.JSONL)
_KEEPS = (None, None, [], ["id", "pay"])
_PARQUET_OUT = {FileFormat.PARQUET, FileFormat.ARROW}


class Misread(AssertionError):
    """Values that are not in the file."""


def file_trial(kind: str) -> Trial:
    """Files of one format, from their first bytes to a result."""
    seeds = list(SEEDS[kind]())

    def trial(number: int) -> str:
        content, manner = mutated(seeds, number), _manner(number)
        try:
            read = read_as_a_job(content, manner)
        except CallerError as error:
            return error.code
        wrong = misread(content, read)
        if wrong is not None:
            raise Misread(wrong)
        if (manner.output or read.format) in _PARQUET_OUT:
            rows = pq.ParquetFile(io.BytesIO(read.output)).read(columns=[]).num_rows
            if rows != len(read.rows):
                raise Misread(f"a result of {rows} rows, and {len(read.rows)} were read")
        others_refuse = not manner.skip and refused_by_all(content, read)
        return "read, though others refuse it" if others_refuse else "read"

    return trial


def thrift_trial() -> Trial:
    """Footers alone: what can be read can be written, and is then read the same."""
    seeds = [content[-8 - int.from_bytes(content[-8:-4], "little") : -8] for content in parquet_seeds()]

    def trial(number: int) -> str:
        try:
            fields = decode_struct(mutated(seeds, number))
        except MalformedThrift:
            return "malformed"
        if decode_struct(encode_struct(fields)) != fields:
            raise Misread("written anew, it is another")
        return "read"

    return trial


def form_trial(folder: Path) -> Trial:
    """Forms: what is refused leaves no file behind. Args: folder: empty, for those that are received."""
    seeds = list(form_seeds())

    def trial(number: int) -> str:
        piece_bytes = random.Random(~number).choice((1, 7, 100, 4096))
        try:
            received(mutated(seeds, number), folder, piece_bytes=piece_bytes)
        except CallerError as error:
            return error.code
        return "read"

    return trial


# Each is made with an empty folder of its own.
TRIALS: Final[Mapping[str, Callable[[Path], Trial]]] = {
    "parquet": lambda _: file_trial("parquet"),
    "arrow": lambda _: file_trial("arrow"),
    "csv": lambda _: file_trial("csv"),
    "jsonl": lambda _: file_trial("jsonl"),
    "thrift": lambda _: thrift_trial(),
    "form": form_trial,
}


def _manner(number: int) -> Manner:
    dice = random.Random(~number)
    return Manner(skip=dice.random() < 0.3, output=dice.choice(_OUTPUTS), keep=dice.choice(_KEEPS))
