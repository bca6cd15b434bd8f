"""The plain plan: G rollouts of every drawn sample under its own prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.seeds import seed_of
from mmrl.types import Clock, Group, Rollout, Sample


@dataclass(frozen=True)
class GroupOf:
    """Samples `size` rollouts a draw; the seed of a rollout is of (run, draw, place in group)."""

    size: int

    def __call__(
        self, draws: Sequence[tuple[str, Sample]], models: Any, clock: Clock, /
    ) -> list[Group]:
        samples = [sample for _, sample in draws]
        told: dict[int, Group] = {}

        def group_of(place: int, rollouts: Sequence[Rollout]) -> Group:
            draw_id, sample = draws[place]
            return Group(draw_id=draw_id, sample=sample, rollouts=tuple(rollouts))

        def finished(place: int, rollouts: Sequence[Rollout]) -> None:
            told[place] = group_of(place, rollouts)
            models.on_group(told[place])

        watched = getattr(models, "on_group", None) is not None
        rollouts = models.sample(
            samples,
            [models.encode(sample) for sample in samples],
            seeds=[
                [seed_of(models.seed, "rollout", draw_id, g) for g in range(self.size)]
                for draw_id, _ in draws
            ],
            temperature=models.sampling.temperature,
            policy_step=clock.step,
            **({"finished": finished} if watched else {}),
        )
        return [told.get(place) or group_of(place, group) for place, group in enumerate(rollouts)]
