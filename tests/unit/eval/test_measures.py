"""Means, intervals, paired differences, pass@k by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmrl.eval.measures import estimate, paired_difference, pass_at_k


def test_equal_values_have_a_point_interval():
    assert estimate([0.25] * 5).ci95 == (0.25, 0.25)


def test_the_interval_of_a_fair_coin_is_near_the_normal_one():
    values = [0.0, 1.0] * 200
    low, high = estimate(values).ci95
    # 0.5 +- 1.96 * 0.5 / sqrt(400) = 0.451, 0.549
    assert low == pytest.approx(0.451, abs=0.006)
    assert high == pytest.approx(0.549, abs=0.006)


def test_no_values_is_nan():
    assert math.isnan(estimate([]).mean)


def test_pairing_removes_what_items_share():
    rng = np.random.default_rng(0)
    hard = rng.uniform(size=300)
    found = paired_difference(list(hard), list(hard + 0.05))
    assert found.mean == pytest.approx(0.05)
    assert found.high - found.low < 1e-9


def test_pairing_different_items_is_refused():
    with pytest.raises(ValueError, match="2 items before, 1 after"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(4, 0, 2, 0.0), (4, 1, 1, 0.25), (4, 1, 2, 0.5), (4, 2, 2, 1 - 1 / 6), (4, 3, 2, 1.0)],
)
def test_pass_at_k(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected)


def test_more_picks_than_samples_is_refused():
    with pytest.raises(ValueError, match="k = 5"):
        pass_at_k(4, 1, 5)
