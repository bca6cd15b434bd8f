"""Means and paired differences with 95 % intervals, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over items with its 95 % interval (percentile bootstrap over items, fixed seed)."""

    mean: float
    low: float
    high: float
    num_items: int

    @property
    def ci95(self) -> tuple[float, float]:
        return self.low, self.high


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of item values; NaN with a NaN interval when there are none.

    >>> estimate([0.5, 0.5]).ci95
    (0.5, 0.5)
    """
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        return Estimate(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(0)
    means = np.concatenate(
        [x[rng.integers(0, x.size, (500, x.size))].mean(1) for _ in range(_RESAMPLES // 500)]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(x.mean()), float(low), float(high), int(x.size))


def paired_difference(before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Mean of after - before over the same items, in the same order."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} items before, {len(after)} after: not the same items")
    return estimate([b - a for a, b in zip(before, after, strict=True)])


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Chance that k of n samples hold a correct one: 1 - C(n-c, k) / C(n, k) (2107.03374, eq. 1).

    >>> pass_at_k(2, 1, 1)
    0.5
    """
    if not 0 < k <= num_samples:
        raise ValueError(f"k = {k} needs 1 to {num_samples} samples")
    if num_samples - num_correct < k:
        return 1.0
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)
