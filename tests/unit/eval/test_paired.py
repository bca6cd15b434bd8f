"""Intervals over seeds against values worked out by hand; each of the three verdicts."""

from __future__ import annotations

import math

import pytest

from mmrl.eval.paired import OverSeeds, Verdict, differences, over_seeds, verdict


def test_interval_of_one_to_five() -> None:
    # variance 2.5, t(0.975, 4) = 2.776445; half = 2.776445 * sqrt(2.5 / 5) = 1.963243
    found = over_seeds([1, 2, 3, 4, 5])
    assert found.mean == 3.0
    assert found.ci95 == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-6)
    # one more seed: 2.776445 * sqrt(2.5) * sqrt(1.2) = 4.808944
    assert found.prediction95 == pytest.approx((3 - 4.808944, 3 + 4.808944), abs=1e-6)
    assert found.values == (1.0, 2.0, 3.0, 4.0, 5.0)


def test_two_values_have_a_wide_interval() -> None:
    # t(0.975, 1) = 12.706205, s = sqrt(0.5) -> half = 12.706205 * sqrt(0.5 / 2) = 6.353102
    assert over_seeds([0, 1]).ci95 == pytest.approx((0.5 - 6.353102, 0.5 + 6.353102), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_equal_values_have_an_interval_of_width_0(value: float) -> None:
    found = over_seeds([value] * 5)
    assert found.mean == value
    assert found.ci95 == (value, value)
    assert found.prediction95 == (value, value)


def test_fewer_than_two_seeds_have_no_interval() -> None:
    assert over_seeds([0.5]).mean == 0.5
    assert all(map(math.isnan, (*over_seeds([0.5]).ci95, *over_seeds([0.5]).prediction95)))
    assert math.isnan(over_seeds([]).mean)


def test_differences_pair_seeds_not_places() -> None:
    assert differences({0: 1.0, 2: 5.0, 1: 3.0}, {1: 1.0, 2: 1.5, 7: 9.0}) == {1: 2.0, 2: 3.5}


def between(low: float, high: float) -> OverSeeds:
    return OverSeeds((low + high) / 2, low, high, low, high, ())


@pytest.mark.parametrize(
    ("low", "high", "up", "down"),
    [
        (0.01, 0.3, Verdict.SHOWN, Verdict.OPPOSITE),
        (-0.3, -0.01, Verdict.OPPOSITE, Verdict.SHOWN),
        (-0.1, 0.3, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN),
        (0.0, 0.3, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN),  # touches 0
        (-0.3, 0.0, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN),
        (0.0, 0.0, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN),
        (0.2, 0.2, Verdict.SHOWN, Verdict.OPPOSITE),  # all differences equal, and above 0
        (math.nan, math.nan, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN),
    ],
)
def test_verdict_is_where_the_interval_lies(
    low: float, high: float, up: Verdict, down: Verdict
) -> None:
    assert verdict(between(low, high), "up") is up
    assert verdict(between(low, high), "down") is down


def test_verdicts_read_as_the_table_prints_them() -> None:
    assert [str(v) for v in Verdict] == ["shown", "not shown", "opposite"]
