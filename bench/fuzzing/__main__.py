"""`python -m bench.fuzzing KIND COUNT`: the first inputs of a kind, and what came of them as JSON."""

import sys
import tempfile
from pathlib import Path

import msgspec

from bench.fuzzing.guarded import tried
from bench.fuzzing.trials import TRIALS


def main(kind: str, count: str) -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-fuzz-") as folder:
        found = tried(TRIALS[kind](Path(folder)), first=0, count=int(count))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
