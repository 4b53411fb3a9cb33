"""A few hundred broken inputs of each kind, the same at every run: `python -m bench fuzz` tries far more."""

import json
import os
import subprocess
import sys

import pytest

from bench.fuzzing.guarded import tried
from bench.fuzzing.trials import TRIALS
from tests.fixtures.processes import ROOT

INPUTS = {"parquet": 400, "arrow": 300, "csv": 120, "jsonl": 80, "thrift": 300, "form": 200}


@pytest.mark.parametrize("kind", TRIALS)
def test_broken_inputs_are_read_rightly_or_refused_with_a_reason(kind: str):
    # In a process of its own: this one has threads, and what is forked from it may wait for them for ever.
    command = [sys.executable, "-m", "bench.fuzzing", kind, str(INPUTS[kind])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300)
    found = json.loads(done.stdout)

    assert not found["faults"], found["faults"][0]
    assert sum(found["outcomes"].values()) == INPUTS[kind]
    assert len(found["outcomes"]) >= 2  # some are read, some are not


def test_what_ends_the_process_or_takes_its_memory_is_a_fault_and_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("bench.fuzzing.guarded.PEAK_BYTES", 64 * 2**20)

    def trial(number: int) -> str:
        if number == 2:
            os._exit(9)
        if number == 4:
            bytes(2**33)
        if number == 5:
            assert b"x" * (100 * 2**20)
        return "read"

    found = tried(trial, first=0, count=7)

    assert [fault.number for fault in found.faults] == [2, 4, 5]
    assert "exit code 9" in found.faults[0].what
    assert "MemoryError" in found.faults[1].what
    assert "eats memory" in found.faults[2].what
    assert found.outcomes["read"] == 4
