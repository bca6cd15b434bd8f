"""The plain plan: G rollouts of every drawn sample under its own prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.seeds import seed_of
from mmrl.types import Clock, Group, Sample


@dataclass(frozen=True)
class GroupOf:
    """Samples `size` rollouts a draw; the seed of a rollout is of (run, draw, place in group)."""

    size: int

    def __call__(
        self, draws: Sequence[tuple[str, Sample]], models: Any, clock: Clock, /
    ) -> list[Group]:
        samples = [sample for _, sample in draws]
        rollouts = models.sample(
            samples,
            [models.encode(sample) for sample in samples],
            seeds=[
                [seed_of(models.seed, "rollout", draw_id, g) for g in range(self.size)]
                for draw_id, _ in draws
            ],
            temperature=models.sampling.temperature,
            policy_step=clock.step,
        )
        return [
            Group(draw_id=draw_id, sample=sample, rollouts=tuple(group))
            for (draw_id, sample), group in zip(draws, rollouts, strict=True)
        ]
