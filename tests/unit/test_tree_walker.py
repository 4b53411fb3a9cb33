"""The walk of many rows over trees, and what is done where it does not give the model's own answers."""

import numpy as np
import pytest

from shared.catalog.verdict import Engine
from workers.host.engines.compiled import CannotCompile
from workers.host.engines.many_rows import ManyRowsModel
from workers.host.engines.tree import Tree
from workers.host.engines.tree_walker import TreeWalker

# x0 <= 0.1 ? 1 : (x1 <= -2.5 ? 3 : (x0 <= 7 ? 5 : 6)); a missing x0 goes left at the root, right below
TREE = Tree(
    feature=np.array([0, -2, 1, -2, 0, -2, -2]),
    split=np.array([0.1, 0, -2.5, 0, 7.0, 0, 0]),
    left=np.array([1, -1, 3, -1, 5, -1, -1]),
    right=np.array([2, -1, 4, -1, 6, -1, -1]),
    missing_left=np.array([True, False, False, False, False, False, False]),
    value=np.arange(7.0),
    target=0,
)
LEAF = Tree(
    feature=np.array([-2]),
    split=np.zeros(1),
    left=np.array([-1]),
    right=np.array([-1]),
    missing_left=np.zeros(1, np.bool_),
    value=np.array([0.25]),
    target=0,
)


class Constant:
    """Answers every row alike."""

    def __init__(self, label: float) -> None:
        self.label, self.calls = label, 0

    def predict(self, rows, outputs):
        self.calls += 1
        return {name: np.full(len(rows), self.label) for name in outputs}


def walker(*trees: Tree, single_precision: bool = False) -> TreeWalker:
    scores = max(tree.target for tree in trees) + 1
    return TreeWalker(trees, np.zeros(scores), columns=2, single_precision=single_precision)


def test_rows_end_in_the_leaves_that_their_values_lead_to():
    above = np.nextafter(0.1, 1)
    rows = np.array([[0.1, 9], [above, -2.5], [above, -2.4], [7, 0], [7.5, 0], [1e30, -1e30]])

    assert walker(TREE)(rows)[:, 0].tolist() == [1, 3, 5, 5, 6, 3]


def test_missing_values_go_where_each_split_sends_them():
    rows = np.array([[np.nan, 0], [8, np.nan], [0.5, np.nan], [0.5, -3]])

    assert walker(TREE)(rows)[:, 0].tolist() == [1, 6, 5, 3]


def test_in_single_precision_a_row_is_rounded_and_the_split_is_not():
    tenth = float(np.float32(0.1))  # above 0.1, which lies between two numbers of 32 bits

    assert walker(TREE, single_precision=True)(np.array([[0.1, 0], [tenth, 0]]))[:, 0].tolist() == [5, 5]
    assert walker(TREE, single_precision=False)(np.array([[0.1, 0], [tenth, 0]]))[:, 0].tolist() == [1, 5]


def test_scores_begin_at_their_start_and_trees_add_to_their_own():
    second = Tree(**{name: getattr(TREE, name) for name in TREE.__struct_fields__} | {"target": 1})
    both = TreeWalker([TREE, second, LEAF], np.array([10.0, 20.0]), columns=2, single_precision=False)

    assert both(np.array([[7.5, 0.0]])).tolist() == [[16.25, 26.0]]


def test_no_rows_have_no_scores():
    assert walker(TREE)(np.empty((0, 2))).shape == (0, 1)


def test_trees_that_lead_in_circles_are_refused():
    circle = Tree(**{name: getattr(TREE, name) for name in TREE.__struct_fields__} | {"left": TREE.left * 0})

    with pytest.raises(CannotCompile, match="circles"):
        walker(circle)


def test_trees_that_need_too_much_memory_are_refused():
    with pytest.raises(CannotCompile, match="MiB"):
        TreeWalker([TREE], np.zeros(1), columns=2**28, single_precision=False)


def test_a_walk_that_answers_otherwise_is_not_asked_again():
    model, walk = Constant(1.0), Constant(2.0)
    many = ManyRowsModel(model, walk, Engine(name="walker", why=""))

    given = [many.predict(np.zeros((1000, 2)), ["label"])["label"] for _ in range(3)]

    assert np.unique(given).tolist() == [1.0]
    assert walk.calls == 1


def test_a_walk_that_answers_alike_answers_from_then_on():
    model, walk = Constant(1.0), Constant(1.0)
    many = ManyRowsModel(model, walk, Engine(name="walker", why=""))

    for _ in range(3):
        many.predict(np.zeros((1000, 2)), ["label"])

    assert model.calls == 1


def test_rows_with_gaps_are_tried_apart():
    model, walk = Constant(1.0), Constant(1.0)
    many = ManyRowsModel(model, walk, Engine(name="walker", why=""))

    many.predict(np.zeros((10, 2)), ["label"])
    walk.label = np.nan
    given = many.predict(np.full((10, 2), np.nan), ["label"])["label"]

    assert given.tolist() == [1.0] * 10
