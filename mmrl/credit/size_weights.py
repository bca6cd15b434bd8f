"""Weights of questions by the size of what they ask for: GUI-G1's difficulty (arXiv 2505.15810).

The paper weighs the loss of a question by w = 0.5 + (1/λ - min) / (max - min) in [0.5, 1.5], λ the
reference box's share of its picture's area, min and max of 1/λ over the data set (appendix C.3).
A data set's rows carry it as a column; drawn worlds have no end, so that least and greatest share
are settings, and shares beyond them weigh as these do. One very small box takes nearly the whole
range of 1/λ, the others then weigh about 0.5: the logarithm is kinder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmrl.errors import DataError
from mmrl.rewards.gold import gold_box
from mmrl.rewards.spaces import picture_extent
from mmrl.types import ScoredGroup

Scale = Literal["inverse", "log"]


def size_weight(share: float, smallest: float, largest: float, scale: Scale) -> float:
    """0.5 for a box of the largest share of its picture to 1.5 for one of the smallest.

    `inverse` is linear in 1/λ (the paper's), `log` in log λ.
    """
    share = min(max(share, smallest), largest)
    if scale == "log":
        return 0.5 + math.log(largest / share) / math.log(largest / smallest)
    return 0.5 + (1.0 / share - 1.0 / largest) / (1.0 / smallest - 1.0 / largest)


@dataclass(frozen=True, kw_only=True)
class RowWeight:
    """Every token of a sample's rollouts weighs what its row says in the column `of`."""

    of: str = "rate"

    def __call__(self, scored: ScoredGroup, /) -> Sequence[Sequence[float]]:
        sample = scored.group.sample
        weight = sample.meta.get(self.of)
        if not isinstance(weight, int | float) or not 0.0 <= weight < math.inf:
            raise DataError(
                f'sample "{sample.id}": its weight meta["{self.of}"] should be a number from 0, it '
                f"is {weight!r:.40}; write one into each row, or say method.weigh: inverse or log"
            )
        return _spread(scored, float(weight))


@dataclass(frozen=True, kw_only=True)
class SizeWeight:
    """Every token of a sample's rollouts weighs `size_weight` of its one reference box."""

    smallest: float
    largest: float
    scale: Scale = "inverse"

    def __call__(self, scored: ScoredGroup, /) -> Sequence[Sequence[float]]:
        sample, rollouts = scored.group.sample, scored.group.rollouts
        if not rollouts:
            return []
        x1, y1, x2, y2 = gold_box(sample)
        width, height = picture_extent(rollouts[0], sample)
        share = (x2 - x1) * (y2 - y1) / (width * height)
        return _spread(scored, size_weight(share, self.smallest, self.largest, self.scale))


def _spread(scored: ScoredGroup, weight: float) -> list[list[float]]:
    return [[weight] * len(rollout.token_ids) for rollout in scored.group.rollouts]
