"""ACRE: an answer earns more when the same reasoning gives it under other options (2510.10104).

Each rollout is asked again with its reasoning kept and the options in another order; in place of
accuracy it earns

    both_right     its own answer and the second are right
    first_right    only its own is
    second_right   only the second is
    0              neither (also where both are the same wrong one)

Everything else is GRPO. Questions without options, and tasks without a part that a letter decides,
keep plain accuracy. OSCR (`unchanged`) and the four shares are logged at every step.

Departures: the paper does not print its three coefficients, nor group size, learning rate or KL
weight; the coefficients are ours, the rest are those of Video-R1, which it builds on. No order
leaves an option in its place (the paper's may), letters in the reasoning are written anew for the
new order, and the second answer is read greedily (not printed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, model_validator

from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo
from mmrl.probes.second_pass import Letters, SecondPass
from mmrl.rewards.choice_consistency import Consistency, SecondAnswer, watched
from mmrl.roles import Reward
from mmrl.tasks.base import Task
from mmrl.types import Clock, Rollout, Sample

ACCURACY = ("choice", "answer_kind")
"""Parts that a letter decides, in whose place consistency is paid."""


@dataclass(frozen=True, kw_only=True)
class InPlaceOf:
    """The consistency reward where there were second looks, else `both_right` times `plain`."""

    plain: Reward
    consistency: Consistency

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> float | None:
        if evidence[SecondAnswer].looks:
            return self.consistency(rollout, sample, evidence, clock)
        value = self.plain(rollout, sample, evidence, clock)
        return None if value is None else self.consistency.both_right * value


@register_method
class Acre(Grpo):
    """Answer-consistent reinforcement learning (arXiv 2510.10104)."""

    name: str = "acre"
    both_right: float = Field(default=1.0, gt=0.0)
    """alpha 1 (ours; the paper's value is not printed)."""
    first_right: float = Field(default=0.5, ge=0.0)
    """alpha 2 (ours)."""
    second_right: float = Field(default=0.2, ge=0.0)
    """alpha 3 (ours): 0.2, so that a right reasoning with a slip at the letter is not worth 0."""
    passes: int = Field(default=1, ge=1)
    """Other orders that each rollout is asked under; the reward is the mean over them."""
    letters: Letters = "relabel"
    """What becomes of letters that the reasoning names: relabel, mask, keep."""
    second_temperature: float = Field(default=0.0, ge=0.0)
    """Of the second answer; 0 is greedy (ours)."""
    beta: float = Field(default=0.04, ge=0.0)
    """Weight of the KL (Video-R1's, which the paper starts from)."""

    @model_validator(mode="after")
    def _ordered(self) -> Acre:
        if not self.both_right > self.first_right >= self.second_right:
            raise ValueError(
                "wanted both_right > first_right >= second_right; they are "
                f"{self.both_right}, {self.first_right}, {self.second_right}"
            )
        return self

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        return (*(self._consistent(reward) for reward in super().rewards(task)), *watched())

    def build(self, task: Task, **parts: Any) -> Method:
        probe = SecondPass(
            passes=self.passes, letters=self.letters, temperature=self.second_temperature
        )
        return super().build(task, **{"probes": (probe,), **parts})

    def _consistent(self, reward: Reward) -> Reward:
        """Consistency with the weight of the part that it stands for; other parts as they are."""
        if reward.name not in ACCURACY:
            return reward
        consistency = Consistency(
            both_right=self.both_right,
            first_right=self.first_right,
            second_right=self.second_right,
        )
        made = InPlaceOf(plain=reward, consistency=consistency)
        return replace(consistency.reward(), fn=made, weight=reward.weight)
