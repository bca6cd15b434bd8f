"""Points, smoothing, thinning and stage borders, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrl.eval.series import is_number, points, smooth, stage_borders, thin

FINITE = st.floats(-1e6, 1e6)


def test_points_skip_null_nan_flags_and_text():
    values = [0.5, None, math.nan, True, "0.5", math.inf, 2, 10**400]
    records = [{"step": i, "reward": v} for i, v in enumerate(values)] + [{"step": 9}]
    assert points(records, "reward") == ([0, 6], [0.5, 2.0])
    assert [is_number(v) for v in values] == [True, *[False] * 5, True, False]


def test_smoothing_by_hand():
    # keep 0.5 of 4, 8, 0: m = 2, 5, 2.5; weights 0.5, 0.75, 0.875
    assert smooth([4.0, 8.0, 0.0], keep=0.5) == pytest.approx([4.0, 20 / 3, 20 / 7])


def test_keeping_nothing_returns_the_values():
    assert smooth([3.0, -1.0, 2.0], keep=0.0) == [3.0, -1.0, 2.0]


def test_the_smoothed_value_is_the_weighted_mean_of_all_before():
    values, keep = [1.0, 5.0, 2.0, 7.0], 0.8
    weights = [keep**3, keep**2, keep, 1.0]
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert smooth(values, keep)[-1] == pytest.approx(mean)


@pytest.mark.parametrize("keep", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(keep):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        smooth([1.0], keep)


def test_thinning_keeps_ends_and_spikes_by_hand():
    y = [0, 1, 9, 2, 3, 4, -7, 5, 5, 6]
    # most 6: two bins, 0..4 (least 0 at 0, greatest 9 at 2) and 5..9 (-7 at 6, 6 at 9); ends 0, 9
    assert thin(range(10), y, most=6) == ([0, 2, 6, 9], [0, 9, -7, 6])


def test_a_short_series_comes_back_whole():
    assert thin([3, 5], [1.0, 2.0], most=4) == ([3, 5], [1.0, 2.0])


@given(st.lists(FINITE, max_size=80), st.integers(4, 30))
def test_thinned_points_are_few_true_ordered_and_span_the_whole(y, most):
    xs, ys = thin(range(len(y)), y, most)
    assert len(xs) <= most and xs == sorted(set(xs))
    assert [y[i] for i in xs] == ys
    if y:
        assert (min(ys), max(ys), xs[0], xs[-1]) == (min(y), max(y), 0, len(y) - 1)


def test_thinning_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="4 points or more, not 3"):
        thin([1], [1], most=3)
    with pytest.raises(ValueError, match="2 steps and 1 values"):
        thin([1, 2], [1])


def test_stage_borders_by_hand():
    stages = ["judge", "judge", "plan", "plan", "judge"]
    records = [{"step": i, "stage": s} for i, s in enumerate(stages)]
    records.insert(1, {"kind": "eval", "step": 1})
    assert stage_borders(records) == [(0, "judge"), (2, "plan"), (4, "judge")]
    assert stage_borders([]) == []
