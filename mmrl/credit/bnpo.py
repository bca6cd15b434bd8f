"""BNPO: advantages normalised by a Beta distribution of pass rates (arXiv 2506.02864).

Group means p_i are fitted by a Beta(a, b) with their mean and unbiased variance; the weight of a
group is 1 / Beta pdf(p_i; α, β) with α = max(1, 1 + a/3), β = max(1, 1 + b/3). Where the official
code gives NaN or an exception (no variance between groups, all rewards 0 or 1), the weight is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrl.credit.group import centred, mean_of
from mmrl.credit.moments import moments
from mmrl.errors import RewardError
from mmrl.roles import Reduce
from mmrl.types import Advantage, Clock, ScoredGroup

WEIGHT_BOUND = 1e6
"""Largest weight of a group (official code)."""
MIN_VARIANCE = 1e-12
"""Less variance between the groups' means than this is none."""


@dataclass(frozen=True)
class BetaNormalised:
    """w_i · (r - p_i) for rewards inside [low, high]."""

    low: float = 0.0
    high: float = 1.0

    min_group: ClassVar[int] = 2

    def __call__(
        self, scored: Sequence[ScoredGroup], reduce: Reduce, clock: Clock, /
    ) -> list[list[Advantage]]:
        rates = [self._rate(group) for group in scored]
        stats = moments(((p, 1.0) for p in rates if p is not None), reduce)
        shape = beta_shape(stats.mean, stats.variance)
        out: list[list[Advantage]] = []
        for group, rate in zip(scored, rates, strict=True):
            weight = 1.0 if rate is None else beta_weight(rate, shape)
            out.append([weight * d / (self.high - self.low) for d in centred(group.rewards)])
        return out

    def _rate(self, group: ScoredGroup) -> float | None:
        """Mean reward of a group, mapped into [0, 1]."""
        for reward in group.rewards:
            if reward is not None and not self.low - 1e-6 <= reward <= self.high + 1e-6:
                raise RewardError(
                    f'BNPO needs rewards inside [{self.low}, {self.high}]; sample "'
                    f'{group.group.sample.id}" has {reward}; set reward_low and reward_high'
                )
        mean = mean_of(group.rewards)
        if mean is None:
            return None
        return min(1.0, max(0.0, (mean - self.low) / (self.high - self.low)))


def beta_shape(mean: float, variance: float) -> tuple[float, float] | None:
    """(α, β) of the weight's Beta distribution, or None where there is nothing to fit."""
    if variance < MIN_VARIANCE or not 0.0 < mean < 1.0:
        return None
    size = mean * (1.0 - mean) / variance - 1.0
    return max(1.0, 1.0 + size * mean / 3.0), max(1.0, 1.0 + size * (1.0 - mean) / 3.0)


def beta_weight(rate: float, shape: tuple[float, float] | None) -> float:
    """1 / Beta pdf at `rate`, at most 1e6; 1 without a shape."""
    if shape is None:
        return 1.0
    alpha, beta = shape
    log_pdf = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    for exponent, base in ((alpha - 1.0, rate), (beta - 1.0, 1.0 - rate)):
        if exponent > 0.0:
            if base <= 0.0:
                return WEIGHT_BOUND
            log_pdf += exponent * math.log(base)
    return min(WEIGHT_BOUND, math.exp(min(-log_pdf, math.log(WEIGHT_BOUND))))
