"""REINFORCE++ (arXiv 2501.03262): advantages whitened over all trained tokens of the step.

Statistics count every token, so long rollouts weigh more. A step whose rewards are all the same
gets zeros. Token rewards inside the return (a KL) are not part of this: use a KL term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrl.credit.group import has_spread, mean_of
from mmrl.credit.moments import Moments, moments
from mmrl.roles import Reduce
from mmrl.types import Advantage, Clock, Rollout, ScoredGroup

VARIANCE_FLOOR = 1e-8
"""Added to the variance before the root, as in verl."""
NO_SPREAD = 1e-24
"""A variance below this share of the mean square is rounding, not spread."""


@dataclass(frozen=True)
class ReinforcePP:
    """Whitened discounted returns of the whole step.

    The reward stands at the last trained token; the return of a token is the reward times
    `gamma` for every trained token after it. Observed tokens neither count nor discount.
    """

    gamma: float = 1.0

    def __call__(
        self, scored: Sequence[ScoredGroup], reduce: Reduce, clock: Clock, /
    ) -> list[list[Advantage]]:
        returns = [
            [
                _returns(reward, rollout, self.gamma)
                for reward, rollout in zip(group.rewards, group.group.rollouts, strict=True)
            ]
            for group in scored
        ]
        known = ((r, 1.0) for group in scored for r in group.rewards if r is not None)
        if _is_flat(moments(known, reduce)):  # equal rewards: only gamma tells tokens apart
            returns = [[row and (0.0,) * len(row) for row in group] for group in returns]
        return whitened(scored, returns, reduce)


@dataclass(frozen=True)
class ReinforcePPBaseline:
    """Rewards minus the group's mean, then whitened over the tokens of the whole step."""

    min_group: ClassVar[int] = 2

    def __call__(
        self, scored: Sequence[ScoredGroup], reduce: Reduce, clock: Clock, /
    ) -> list[list[Advantage]]:
        differences = []
        for group in scored:
            mean = mean_of(group.rewards) or 0.0
            flat = not has_spread(group.rewards)
            differences.append(
                [
                    None if r is None else _returns(0.0 if flat else r - mean, rollout, 1.0)
                    for r, rollout in zip(group.rewards, group.group.rollouts, strict=True)
                ]
            )
        return whitened(scored, differences, reduce)


Values = tuple[float, ...] | None
"""One number a trained token of a rollout, or None where it could not be scored."""


def whitened(
    scored: Sequence[ScoredGroup], values: Sequence[Sequence[Values]], reduce: Reduce
) -> list[list[Advantage]]:
    """(v - mean) / sqrt(variance + 1e-8) over all trained tokens; 0 at tokens not trained."""
    stats = moments(((v, 1.0) for group in values for row in group for v in row or ()), reduce)
    scale = 0.0 if _is_flat(stats) else 1.0 / math.sqrt(stats.variance + VARIANCE_FLOOR)
    out: list[list[Advantage]] = []
    for group, rows in zip(scored, values, strict=True):
        out.append(
            [
                _spread(row, rollout, stats.mean, scale)
                for row, rollout in zip(rows, group.group.rollouts, strict=True)
            ]
        )
    return out


def _is_flat(stats: Moments) -> bool:
    return stats.variance <= NO_SPREAD * stats.mean**2


def _spread(values: Values, rollout: Rollout, mean: float, scale: float) -> Advantage:
    """Whitened values at their tokens; one number where they are all equal."""
    if not values:
        return 0.0
    if min(values) == max(values):
        return (values[0] - mean) * scale
    numbers = iter(values)
    return tuple((next(numbers) - mean) * scale if t else 0.0 for t in rollout.trainable)


def _returns(reward: float | None, rollout: Rollout, gamma: float) -> Values:
    if reward is None:
        return None
    num = sum(rollout.trainable)
    return tuple(reward * gamma ** (num - 1 - t) for t in range(num))
