"""Advantages centred in their group and scaled by the spread of the whole step's rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrl.credit.group import centred
from mmrl.credit.moments import moments
from mmrl.roles import Reduce
from mmrl.types import Advantage, Clock, ScoredGroup


@dataclass(frozen=True)
class BatchScaled:
    """(r - mean of the group) / (std of all rewards of the step + eps) (LitePPO, TRL's "batch").

    The std is unbiased, over the known rewards of all ranks, around their common mean.
    """

    eps: float = 1e-6

    min_group: ClassVar[int] = 2

    def __call__(
        self, scored: Sequence[ScoredGroup], reduce: Reduce, clock: Clock, /
    ) -> list[list[Advantage]]:
        known = [(r, 1.0) for group in scored for r in group.rewards if r is not None]
        std = moments(known, reduce).std
        return [[d / (std + self.eps) for d in centred(group.rewards)] for group in scored]
