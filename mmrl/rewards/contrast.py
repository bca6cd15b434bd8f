"""T-GRPO's bonuses (Video-R1, arXiv 2503.21776): order must help, and answers keep to a length.

Group by group, whatever stands beside it in a batch (the published trainer decides once a process,
which is right for one prompt a device only).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mmrl.errors import ConfigError
from mmrl.types import Clock, ScoredGroup

RIGHT_ABOVE = 0.1
"""Least score (exclusive) of a rollout that counts as right, as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastScore:
    """Evidence of one rollout: the task's scores of its group's contrast rollouts.

    Empty where the group has no contrast (a sample without a clip).
    """

    provided_by: ClassVar[str] = "mmrl.probes.contrast.ContrastScores()"
    scores: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        return sum(self.scores) / len(self.scores) if self.scores else None

    def record(self) -> dict[str, Any]:
        """Plain values for logs."""
        return {"scores": list(self.scores), "mean": self.mean}


@dataclass(frozen=True, kw_only=True)
class ContrastBonus:
    """`amount` for every right rollout of a group that does not do worse than its contrast.

    A group is helped by what the contrast lacks where mean score >= `factor` x mean score of the
    contrast. Published: factor 1.0 in the paper, 0.8 in the code; amount 0.3. None for a group
    without contrast.
    """

    name: str = "contrast"
    factor: float
    amount: float = 0.3
    weight: float = 1.0
    needs: tuple[type, ...] = (ContrastScore,)
    reads: tuple[str, ...] = ()

    def __call__(self, scored: ScoredGroup, clock: Clock, /) -> list[float | None]:
        contrast = [e.mean for e in scored.group.evidence[ContrastScore]]
        known = [s for s in scored.score if s is not None]
        if not known or contrast[0] is None:
            return [None] * len(scored.score)
        helped = sum(known) / len(known) >= self.factor * contrast[0]
        return [self.amount * (helped and _right(s)) for s in scored.score]


@dataclass(frozen=True, kw_only=True)
class LengthWindow:
    """`amount` for right rollouts of `shortest` to `longest` sampled tokens, both included.

    Only in groups with more than one right rollout: else length would be all that is compared.
    """

    name: str = "length_window"
    shortest: int = 320
    longest: int = 512
    amount: float = 0.2
    weight: float = 1.0
    needs: tuple[type, ...] = ()
    reads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest:
            raise ConfigError(
                f"length window: shortest = {self.shortest}, longest = {self.longest}; "
                "wanted 0 <= shortest <= longest"
            )

    def __call__(self, scored: ScoredGroup, clock: Clock, /) -> list[float | None]:
        right = [_right(s) for s in scored.score]
        if sum(right) < 2:
            return [0.0] * len(right)
        lengths: Sequence[int] = [
            sum(len(s.token_ids) for s in r.segments if s.sampled) for r in scored.group.rollouts
        ]
        return [
            self.amount * (ok and self.shortest <= n <= self.longest)
            for ok, n in zip(right, lengths, strict=True)
        ]


def _right(score: float | None) -> bool:
    return score is not None and score > RIGHT_ABOVE
