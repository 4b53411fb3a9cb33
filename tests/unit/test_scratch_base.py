"""What killed workers left behind is removed by those that start, be they many at once."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.hosting.scratch_base import _sweep


def test_workers_that_start_together_remove_what_a_dead_one_left(tmp_path: Path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    for number in range(500):
        (tmp_path / f"modelyard-hosts-{dead.pid}-{number}" / "host").mkdir(parents=True)

    with ThreadPoolExecutor(4) as workers:
        sweeps = [workers.submit(_sweep, tmp_path) for _ in range(4)]

    assert [sweep.result() for sweep in sweeps] == [None] * 4
    assert list(tmp_path.iterdir()) == []
