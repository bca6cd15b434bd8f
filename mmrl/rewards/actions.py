"""Rewards for steps on a screen: the kind of step, and where a click goes (TON, 2505.16854)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmrl.errors import DataError
from mmrl.parse.actions import ScreenAction, parse_action, read_action
from mmrl.types import Rollout, Sample


def action_kind_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the step's name is right, else 0."""
    gold = gold_action(sample)
    action = parse_action(rollout.parsed.answer or "")
    return 1.0 if action is not None and action.name == gold.name else 0.0


@dataclass(frozen=True, kw_only=True)
class ActionPlace:
    """1 where a click lands within `radius` of the reference, else 0; None for other steps.

    Positions and distance are shares of the sides (norm_1). TON: 0.14, and 0 for other steps.
    """

    radius: float = 0.14

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float | None:
        gold = gold_action(sample)
        if gold.position is None:
            return None
        action = parse_action(rollout.parsed.answer or "")
        if action is None or action.name != gold.name or action.position is None:
            return 0.0
        apart = math.hypot(*(a - b for a, b in zip(action.position, gold.position, strict=True)))
        return 1.0 if apart <= self.radius + 1e-9 else 0.0


def gold_action(sample: Sample) -> ScreenAction:
    """The reference step: a mapping or its text; a click has a position in shares of the sides."""
    target = sample.target
    gold = parse_action(target) if isinstance(target, str) else read_action(target)
    if gold is None or not gold.name:
        wanted = '{"action": "CLICK", "position": [x, y]}'
    elif gold.name == "click" and not _is_share(gold):
        wanted = "a click with a position [x, y] between 0 and 1"
    else:
        return gold
    raise DataError(f'the target of sample "{sample.id}" should be {wanted}; it is {target!r:.120}')


def _is_share(action: ScreenAction) -> bool:
    return action.position is not None and all(0.0 <= v <= 1.0 for v in action.position)


action_place_reward = ActionPlace()
