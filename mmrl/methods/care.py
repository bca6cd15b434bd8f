"""GRPO-CARE: among right rollouts, reasoning that makes its answer likely earns more (2506.16141).

A slow average of the policy reads every rollout; of those that are right, those whose answer it
finds at least as likely as the right ones on average earn `bonus_weight` times their accuracy more
(`mmrl.rewards.care` has the formula). The reward is accuracy + format + bonus; there is no KL.

Settings for the paper's ablations: noKL is `bonus_weight: 0` (its likelihoods are still logged),
DenseCons `bonus: dense`. KL-EMA, KL-EMA-HA, SepKL-EMA-HA (a KL to the average) and RefGen (the
average writes the answer again) are not here.

Departures: the average is kept in fp32 (in bf16, as published, a hundred updates move it 14 times
less); the answer's tokens are found by character offsets; a group is one prompt's draws. The ratio
is clipped, which with one update a step, as published, never acts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo
from mmrl.policy.companions import Ema
from mmrl.probes.likelihood import LikelihoodProbe
from mmrl.rewards.care import ConsistencyBonus
from mmrl.roles import Reward
from mmrl.tasks.base import Task


@register_method
class Care(Grpo):
    """Consistency-aware GRPO (arXiv 2506.16141)."""

    name: str = "care"
    bonus_weight: float = Field(default=0.5, ge=0.0)
    """Lambda: worth of the bonus in units of accuracy (paper and code); 0 is the ablation noKL."""
    bonus: Literal["threshold", "dense"] = "threshold"
    """`threshold` pays who reaches the mean; `dense` pays accuracy times likelihood (DenseCons)."""
    cap: float = Field(default=0.95, gt=0.0, le=1.0)
    """Likelihoods above it count as it (paper and code)."""
    margin: float = Field(default=0.0, ge=0.0)
    """How far below the mean still counts: 0 on SEED-Bench-R1, 0.01 on general video (code)."""
    accuracy_floor: float = Field(default=0.1, ge=0.0)
    """Accuracy that a rollout must exceed to count as right (paper and code)."""
    ema_decay: float = Field(default=0.995, ge=0.0, lt=1.0)
    """Share of the average that stays when it moves (paper and code)."""
    ema_every: int = Field(default=10, ge=1)
    """Steps between two moves of the average (paper and code)."""
    format_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the part "format", where the task has one: the paper adds it as it is."""

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        return tuple(
            replace(reward, weight=self.format_weight) if reward.name == "format" else reward
            for reward in super().rewards(task)
        )

    def build(self, task: Task, **parts: Any) -> Method:
        ema = Ema(decay=self.ema_decay, every=self.ema_every)
        bonus = ConsistencyBonus(
            weight=self.bonus_weight,
            cap=self.cap,
            margin=self.margin,
            floor=self.accuracy_floor,
            form=self.bonus,
        )
        own = {"probes": (LikelihoodProbe(ema),), "bonuses": (bonus,), "companions": (ema,)}
        return super().build(task, **{**own, **parts})
