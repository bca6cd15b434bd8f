"""Arms compared over seeds: Student's t intervals, the paired difference, the verdict.

    interval of the mean     m ± t(0.975, n-1) · s / √n
    of one more seed         m ± t(0.975, n-1) · s · √(1 + 1/n)      (prediction interval)

s is the standard deviation over seeds with n - 1. The items of a seed are inside its value: what is
asked is whether training again, with other data, would show the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import t as student


class Verdict(StrEnum):
    """Where the 95 % interval of the difference lies, seen in the claim's direction."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    OPPOSITE = "opposite"


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A mean over seeds, its 95 % interval, and the 95 % interval of one more seed's value."""

    mean: float
    low: float
    high: float
    next_low: float
    next_high: float
    values: tuple[float, ...]

    @property
    def ci95(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def prediction95(self) -> tuple[float, float]:
        return self.next_low, self.next_high


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Mean and intervals of one value a seed; NaN intervals for fewer than two.

    >>> over_seeds([0.5, 0.5]).ci95
    (0.5, 0.5)
    """
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        return OverSeeds(math.nan, math.nan, math.nan, math.nan, math.nan, ())
    mean, kept = float(x.mean()), tuple(float(v) for v in values)
    if x.size < 2:
        return OverSeeds(mean, math.nan, math.nan, math.nan, math.nan, kept)
    # equal values have a mean that rounding may put beside them: no spread is no interval
    if bool((x == x[0]).all()):
        mean, spread = float(x[0]), 0.0
    else:
        spread = float(x.std(ddof=1))
    factor = float(student.ppf(0.975, x.size - 1)) * spread
    half, ahead = factor / math.sqrt(x.size), factor * math.sqrt(1 + 1 / x.size)
    return OverSeeds(mean, mean - half, mean + half, mean - ahead, mean + ahead, kept)


def differences(arm: Mapping[int, float], against: Mapping[int, float]) -> dict[int, float]:
    """Seed -> arm - against, for the seeds that both have, in order."""
    return {seed: arm[seed] - against[seed] for seed in sorted(arm) if seed in against}


def verdict(difference: OverSeeds, direction: str) -> Verdict:
    """`shown` where the interval lies strictly on the claimed side of 0, `opposite` beyond it.

    An interval that touches 0, or that is not known, shows nothing.
    """
    low, high = difference.ci95
    if direction == "down":
        low, high = -high, -low
    if low > 0:
        return Verdict.SHOWN
    return Verdict.OPPOSITE if high < 0 else Verdict.NOT_SHOWN
