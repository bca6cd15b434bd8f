"""Reward for the letter of a multiple-choice question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrl.parse.choices import parse_choice
from mmrl.rewards.format import NO_EVIDENCE
from mmrl.rewards.gold import gold_choice
from mmrl.types import Clock, Rollout, Sample


def choice_reward(
    rollout: Rollout,
    sample: Sample,
    evidence: Mapping[type, Any] = NO_EVIDENCE,
    clock: Clock | None = None,
    /,
) -> float:
    """1 where the answer names the reference letter and no other, else 0."""
    gold = gold_choice(sample)
    return 1.0 if parse_choice(rollout.parsed.answer or "") == gold else 0.0
