"""The walk of rows down trees as a WebAssembly program, which wasmtime turns into machine code.

Eight rows go down one tree side by side: none waits for another, so that the processor always has something
to do while a node or a value is fetched. The right child is the place behind the left one, and a leaf leads
to itself: a step is a comparison and an addition, with no branch to be guessed. One tree meets all rows
before the next tree does, as long as the processor's caches hold it.

Addresses are bytes of the program's memory, from its start.
"""

from collections.abc import Iterable

import numpy as np

ROWS = 8  # side by side

TREE = np.dtype(
    [
        ("root", np.uint32),
        ("values", np.uint32),  # of its nodes, 64 bits each, for the first of its scores
        ("values_bytes", np.uint32),  # from there to those for its next score
        ("sums", np.uint32),  # where the first of its scores is summed for the first row
        ("scores", np.uint32),  # how many it adds to
        ("levels", np.uint32),  # below the root, at least one
    ]
)


def node_type(real: type) -> np.dtype:
    """16 bytes. Rows and splits are of this type, 32 or 64 bits.

    A row goes left if its value is at most the split. `column` counts bytes from the row's start; where
    values may be missing its lowest bit, which is free, says that NaN goes right.
    """
    return np.dtype(
        {
            "names": ["split", "left", "column"],
            "formats": [real, np.uint32, np.uint32],
            "offsets": [0, 8, 12],
            "itemsize": 16,
        }
    )


def walk_program(columns: int, real: type, *, missing: bool) -> str:
    """The program, as text. Its `walk` adds what the leaves of trees hold to the scores of a block of rows.

    Its arguments: where the first tree (`TREE`), the end of the trees and the first row are, how many groups
    of eight rows there are, and how many bytes lie between the sums of one score and those of the next.

    Args:
        columns: of a row.
        real: of a row's values.
        missing: some may be NaN, which makes a step longer.
    """
    row_bytes = columns * np.dtype(real).itemsize
    name = "f32" if real is np.float32 else "f64"
    places = [f"$place{number}" for number in range(ROWS)]
    steps = [_step(name, place, number * row_bytes, missing) for number, place in enumerate(places)]
    return f"""
(module
  (import "" "memory" (memory 0))
  (func (export "walk")
    (param $tree i32) (param $end i32) (param $rows i32) (param $groups i32) (param $sums_bytes i32)
    (local $row i32) (local $left i32) (local $root i32) (local $levels i32)
    (local $first_sum i32) (local $sum i32) (local $values i32) (local $scores i32) (local $given {name})
    {_lines(f"(local {place} i32)" for place in places)}
    (loop $each_tree
      (local.set $root (i32.load (local.get $tree)))
      (local.set $first_sum (i32.load offset=12 (local.get $tree)))
      (local.set $row (local.get $rows))
      (local.set $left (local.get $groups))
      (loop $each_group
        {_lines(f"(local.set {place} (local.get $root))" for place in places)}
        (local.set $levels (i32.load offset=20 (local.get $tree)))
        (loop $each_level
          {_lines(f"(local.set {place} {step})" for place, step in zip(places, steps, strict=True))}
          (br_if $each_level (local.tee $levels (i32.sub (local.get $levels) (i32.const 1)))))
        (local.set $values (i32.load offset=4 (local.get $tree)))
        (local.set $sum (local.get $first_sum))
        (local.set $scores (i32.load offset=16 (local.get $tree)))
        (loop $each_score
          {_lines(_add(place, number * 8) for number, place in enumerate(places))}
          (local.set $values (i32.add (local.get $values) (i32.load offset=8 (local.get $tree))))
          (local.set $sum (i32.add (local.get $sum) (local.get $sums_bytes)))
          (br_if $each_score (local.tee $scores (i32.sub (local.get $scores) (i32.const 1)))))
        (local.set $row (i32.add (local.get $row) (i32.const {ROWS * row_bytes})))
        (local.set $first_sum (i32.add (local.get $first_sum) (i32.const {ROWS * 8})))
        (br_if $each_group (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.set $tree (i32.add (local.get $tree) (i32.const {TREE.itemsize})))
      (br_if $each_tree (i32.lt_u (local.get $tree) (local.get $end))))))
"""


def _step(real: str, place: str, row: int, missing: bool) -> str:
    """Where the row goes from its place: to the left child, or 16 bytes further to the right one."""
    column = f"(i32.load offset=12 (local.get {place}))"
    at = f"(i32.and {column} (i32.const -2))" if missing else column
    value = f"(local.tee $given ({real}.load offset={row} (i32.add (local.get $row) {at})))"
    right = f"({real}.gt {value} ({real}.load (local.get {place})))"
    if missing:
        is_missing = f"({real}.ne (local.get $given) (local.get $given))"
        right = f"(i32.or {right} (i32.and {is_missing} {column}))"
    return f"(i32.add (i32.load offset=8 (local.get {place})) (i32.shl {right} (i32.const 4)))"


def _add(place: str, row: int) -> str:
    """Values take half the bytes of nodes."""
    number = f"(i32.shr_u (i32.sub (local.get {place}) (local.get $root)) (i32.const 1))"
    value = f"(f64.load (i32.add (local.get $values) {number}))"
    sum_ = f"(f64.load offset={row} (local.get $sum))"
    return f"(f64.store offset={row} (local.get $sum) (f64.add {sum_} {value}))"


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
