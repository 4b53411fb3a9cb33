"""Rows on both sides of every split, and answers out of scores."""

import numpy as np
import pytest

from workers.host.engines.edges import around_splits, spread_rows
from workers.host.engines.links import Logit, Share, Softmax, Values
from workers.host.engines.tree import Tree

# x0 <= 0.1 ? leaf : (x1 <= -2.5 ? leaf : (x0 <= 7 ? leaf : leaf))
TREE = Tree(
    feature=np.array([0, -2, 1, -2, 0, -2, -2]),
    split=np.array([0.1, 0, -2.5, 0, 7.0, 0, 0]),
    left=np.array([1, -1, 3, -1, 5, -1, -1]),
    right=np.array([2, -1, 4, -1, 6, -1, -1]),
    missing_left=np.zeros(7, np.bool_),
    value=np.arange(7.0),
    target=0,
)
BASE = np.array([[5.0, 5.0], [0.0, 0.0]])


def visits(row: np.ndarray) -> list[int]:
    """The inner nodes that a row passes through."""
    node, passed = 0, []
    while TREE.left[node] != -1:
        passed.append(node)
        side = TREE.left if row[TREE.feature[node]] <= TREE.split[node] else TREE.right
        node = int(side[node])
    return passed


def test_every_split_is_met_from_both_sides_and_at_its_value():
    rows = around_splits([TREE], BASE, np.random.default_rng(0), missing=False).rows

    for node, feature, split in [(0, 0, 0.1), (2, 1, -2.5), (4, 0, 7.0)]:
        met = {row[feature] for row in rows if node in visits(row)}
        assert {split, np.nextafter(split, -np.inf), np.nextafter(split, np.inf)} <= met
        assert float(np.float32(split)) in met


def test_missing_values_are_tried_where_the_model_takes_them():
    random = np.random.default_rng(0)

    assert np.isnan(around_splits([TREE], BASE, random, missing=True).rows).any()
    assert not np.isnan(around_splits([TREE], BASE, random, missing=False).rows).any()
    assert np.isnan(spread_rows(BASE, random, missing=True)).any()


def test_very_many_splits_are_tried_in_part_and_it_says_so():
    around = around_splits([TREE] * 5_000, BASE, np.random.default_rng(0), missing=False)

    assert around.splits == 15_000
    assert around.tried == 3_000
    assert len(around.rows) == 3_000 * 6


def test_wide_rows_are_tried_within_the_memory_for_them():
    around = around_splits([TREE] * 2_000, np.zeros((1, 10_000)), np.random.default_rng(0), missing=False)

    assert around.rows.nbytes < 64 * 1024 * 1024
    assert around.tried < around.splits


def test_two_classes_are_told_by_the_sign_of_a_score():
    scores = np.array([[-1.0], [0.0], [2.0]])

    assert Logit().codes(scores).tolist() == [0, 0, 1]
    assert Logit(zero_is_second=True).codes(scores).tolist() == [0, 1, 1]
    assert Logit().probabilities(scores)[2] == pytest.approx([0.11920292, 0.88079708])  # 1 / (1 + e^2)


def test_scores_of_several_classes_become_shares_of_one():
    scores = np.array([[1.0, 2.0, 3.0], [1000.0, 1000.0, 0.0]])

    probabilities = Softmax().probabilities(scores)

    assert probabilities[0] == pytest.approx([0.09003057, 0.24472847, 0.66524096])
    assert probabilities[1].tolist() == [0.5, 0.5, 0.0]
    assert Softmax().codes(scores).tolist() == [2, 0]


def test_trees_that_vote_are_counted():
    assert Share(10, 2).probabilities(np.array([[3.0]])).tolist() == [[0.7, 0.3]]
    assert Share(10, 2).codes(np.array([[5.0], [6.0]])).tolist() == [0, 1]
    assert Share(4, 3).probabilities(np.array([[1.0, 1.0, 2.0]])).tolist() == [[0.25, 0.25, 0.5]]


def test_values_keep_the_shape_that_the_model_gives():
    scores = np.array([[2.0], [4.0]])

    assert Values(flat=True, divisor=2).values(scores).tolist() == [1.0, 2.0]
    assert Values(flat=False).values(scores).tolist() == [[2.0], [4.0]]
    assert Values(flat=True, exponential=True).values(np.zeros((1, 1))).tolist() == [1.0]
