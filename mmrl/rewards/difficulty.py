"""Harder questions weigh more: RewardMap's difficulty weights (arXiv 2510.02240, eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from mmrl.errors import DataError, nearest
from mmrl.rewards.combine import weighted_sum
from mmrl.roles import Combine
from mmrl.types import Clock, Sample

MAP_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"tiny": 1.0, "easy": 1.0, "middle": 1.2, "medium": 1.2, "hard": 1.5}
)
"""W_map; ReasonMap writes "middle", our worlds "medium" and "tiny"."""


@dataclass(frozen=True, kw_only=True)
class DifficultyWeighted:
    """W(sample) · inner(parts), with W = W_map + (W_question where a transfer is needed).

    W_map is read off `meta["difficulty_city"]`, the transfers off `meta["question_transfer_count"]`
    (-1 or absent: no planning question). All rollouts of a group have one W. It therefore acts
    where advantages keep the scale of rewards (`normalize: mean_only`, `leave_one_out`, `batch`)
    and cancels where each group is divided by its own std, as in the paper's released trainer: a
    method assembled like that is warned of.
    """

    inner: Combine = weighted_sum
    of_map: Mapping[str, float] = field(default_factory=lambda: MAP_WEIGHTS)
    of_transfers: float = 0.5
    """W_question of a question with at least one transfer."""

    scales_groups: ClassVar[bool] = True
    """Every reward of a group is multiplied by the same number: see `check_assembly`."""

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(getattr(self.inner, "reads", ()))

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float:
        return self.weight(sample) * self.inner(parts, score, sample, clock)

    def weight(self, sample: Sample) -> float:
        """W of a sample; a map without a known difficulty is a DataError."""
        level: Any = sample.meta.get("difficulty_city")
        if not isinstance(level, str) or level not in self.of_map:
            raise DataError(
                f'sample "{sample.id}": meta["difficulty_city"] is {level!r}.'
                f"{nearest(str(level), self.of_map)}"
            )
        count: Any = sample.meta.get("question_transfer_count")
        needs_change = isinstance(count, int | float) and count >= 1  # None and NaN are neither
        return self.of_map[level] + (self.of_transfers if needs_change else 0.0)
