"""Rewards for answers that are right or wrong: a number, a short text."""

from __future__ import annotations

from mmrl.parse.values import normal_text, parse_number, same_number
from mmrl.rewards.gold import gold_number, gold_texts
from mmrl.types import Rollout, Sample


def number_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer's one number equals the reference to 1e-6 relative, else 0."""
    gold = gold_number(sample)
    value = parse_number(rollout.parsed.answer or "")
    return 1.0 if value is not None and same_number(value, gold) else 0.0


def text_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer equals an accepted text but for case, spaces and outer punctuation."""
    golds = gold_texts(sample)
    return 1.0 if normal_text(rollout.parsed.answer or "") in golds else 0.0
