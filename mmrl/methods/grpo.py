"""GRPO and its well-known variants: one specification, presets that are only numbers.

    grpo                   arXiv 2402.03300   group-standardised, clipped token ratio
    dr_grpo                arXiv 2503.20783   no std, sums over a constant length
    dapo                   arXiv 2503.14476   clip-higher, dynamic sampling, overlong shaping
    gspo                   arXiv 2507.18071   ratio of the sequence
    cispo                  arXiv 2506.13585   clipped weight, no clipped gradient
    rloo                   arXiv 2402.14740   leave-one-out baseline
    reinforce_pp           arXiv 2501.03262   whitened over all tokens of the step
    reinforce_pp_baseline  the same           minus the group's mean first
    bnpo                   arXiv 2506.02864   Beta-normalised

Departures: rollouts without a trained token are absent from sequence means (TRL counts them); a
lone rollout gets advantage 0 where a group is compared (verl passes its reward through); k3 is
bounded as in verl (not so in TRL). REINFORCE++ has its KL as a loss term, not inside the reward.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mmrl.credit.batch import BatchScaled
from mmrl.credit.bnpo import BetaNormalised
from mmrl.credit.gates import DynamicSampling, keep_all
from mmrl.credit.group import Standardised, centred, leave_one_out, per_group, raw_rewards
from mmrl.credit.reinforce import ReinforcePP, ReinforcePPBaseline
from mmrl.errors import ConfigError
from mmrl.methods.base import Method, MethodSpec, register_method
from mmrl.objective.clipped import Cispo, Clipped, Reinforce
from mmrl.objective.corrected import Corrected
from mmrl.objective.entropy import entropy_bonus
from mmrl.objective.kl import Kl, KlKind
from mmrl.objective.ratio import RatioScope
from mmrl.objective.reduction import SequenceSumNorm, sequence_mean, sequence_sum, token_mean
from mmrl.rewards.length import Overlong
from mmrl.roles import Credit, Objective, Reduction, Reward, Term
from mmrl.tasks.base import Task

Normalize = Literal[
    "std", "mean_only", "none", "batch", "leave_one_out", "tokens", "tokens_baseline", "beta"
]
ReductionName = Literal["token_mean", "sequence_mean", "sequence_sum", "sequence_sum_norm"]


@register_method
class Grpo(MethodSpec):
    """Group relative policy optimisation (arXiv 2402.03300)."""

    name: str = "grpo"
    normalize: Normalize = "std"
    """What an advantage is: (r - mean) / std of the group, mean_only, none (the reward itself),
    batch (std of the whole step), leave_one_out (RLOO), tokens and tokens_baseline (whitened over
    the step's tokens, REINFORCE++), beta (BNPO)."""
    std_eps: float = Field(default=1e-4, ge=0.0)
    """Added to the std; TRL's value. verl's 1e-6 blows up differences of 1e-5 between dense
    rewards such as IoU to whole advantages."""
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)
    """Discount a token, for normalize: tokens."""
    objective: Literal["clip", "cispo", "plain"] = "clip"
    """Clipped ratio, clipped weight on the log-prob, or the log-prob itself."""
    ratio: RatioScope = "token"
    """Ratio policy / old of each token or of the whole sequence."""
    clip_low: float = Field(default=0.2, gt=0.0)
    """Ratios below 1 - clip_low are cut (paper of PPO)."""
    clip_high: float = Field(default=0.2, gt=0.0)
    """Ratios above 1 + clip_high are cut."""
    dual_clip: float | None = Field(default=None, gt=1.0)
    """Bound of the loss where the advantage is negative, in advantages; verl uses 3."""
    delta: float | None = Field(default=None, gt=1.0)
    """Bound of the unclipped ratio for both signs (INTELLECT-2 uses 4)."""
    importance_cap: float | None = Field(default=None, gt=0.0)
    """Bound of the weight old / sampler, for samplers that compute otherwise; off by default."""
    kl: KlKind = "k3"
    """Estimator of the KL to the reference."""
    beta: float = Field(default=0.0, ge=0.0)
    """Weight of the KL; the paper has 0.04, later work mostly none, which saves a forward pass."""
    entropy_coef: float = Field(default=0.0, ge=0.0)
    """Weight of the entropy bonus."""
    reduction: ReductionName = "sequence_mean"
    """How token losses become one number."""
    dynamic_sampling: bool = False
    """Draw again for groups whose scores are all equal (DAPO)."""
    overlong_share: float | None = Field(default=None, ge=0.0, le=1.0)
    """Last share of max_length over which a length punishment grows to -1; 0 is a hard limit, None
    is none (DAPO: 4096 of 20480)."""
    overlong_weight: float = Field(default=1.0, gt=0.0)
    """Weight of that punishment."""
    reward_low: float | None = None
    """Least total reward, for normalize: beta; by default from the bounds of the rewards."""
    reward_high: float | None = None
    """Greatest total reward, for normalize: beta."""

    @model_validator(mode="after")
    def _fits(self) -> Grpo:
        if self.objective != "clip":
            for name in ("dual_clip", "delta"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} belongs to objective: clip, not {self.objective}")
            if self.ratio != "token":
                raise ValueError(f"ratio: {self.ratio} belongs to objective: clip")
        return self

    def build(self, task: Task, **parts: Any) -> Method:
        """The method; `parts` are fields of `Method` in the place of, or beside, GRPO's own.

        A paper's method extends this one: it overrides `rewards` and gives its probes, bonuses and
        companions to `super().build(task, probes=…)`, so that the whole is checked at once.
        """
        own: dict[str, Any] = {
            "name": self.name,
            "group_size": self.group_size,
            "rewards": self.rewards(task),
            "credit": self._credit(task),
            "terms": self._terms(),
            "gate": DynamicSampling() if self.dynamic_sampling else keep_all,
            "mask_truncated": self.mask_truncated,
            "epochs": self.epochs,
            "minibatches": self.minibatches,
        }
        return Method(**{**own, **parts})

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        if self.overlong_share is None:
            return task.rewards
        length = self.known_length("overlong_share")
        punish = Overlong(max_length=length, buffer=round(self.overlong_share * length))
        overlong = Reward(
            name="overlong", fn=punish, weight=self.overlong_weight, bounds=(-1.0, 0.0)
        )
        return (*task.rewards, overlong)

    def _credit(self, task: Task) -> Credit:
        match self.normalize:
            case "std":
                return per_group(Standardised(self.std_eps))
            case "mean_only":
                return per_group(centred)
            case "none":
                return per_group(raw_rewards, min_group=1)
            case "batch":
                return BatchScaled(self.std_eps)
            case "leave_one_out":
                return per_group(leave_one_out)
            case "tokens":
                return ReinforcePP(self.gamma)
            case "tokens_baseline":
                return ReinforcePPBaseline()
            case "beta":
                return BetaNormalised(*self._reward_range(task))

    def _reward_range(self, task: Task) -> tuple[float, float]:
        """Least and greatest total reward of a rollout, by settings or by declared bounds."""
        ends = [
            sorted((r.weight * r.bounds[0], r.weight * r.bounds[1])) for r in self.rewards(task)
        ]
        low = sum(e[0] for e in ends) if self.reward_low is None else self.reward_low
        high = sum(e[1] for e in ends) if self.reward_high is None else self.reward_high
        if low >= high:
            raise ConfigError(f"method.reward_low {low} should be below reward_high {high}")
        return low, high

    def _terms(self) -> tuple[Term, ...]:
        reduction = self._reduction()
        needs = frozenset({"old"})
        terms = [Term(name="policy", objective=self._objective(), reduction=reduction, needs=needs)]
        if self.beta > 0.0:
            terms.append(
                Term(
                    name="kl",
                    objective=Kl(self.kl),
                    reduction=reduction,
                    coefficient=self.beta,
                    weighted=False,
                    needs=frozenset({"reference"}),
                )
            )
        if self.entropy_coef > 0.0:
            terms.append(
                Term(
                    name="entropy",
                    objective=entropy_bonus,
                    reduction=reduction,
                    coefficient=self.entropy_coef,
                    weighted=False,
                    needs=frozenset({"entropy"}),
                )
            )
        return tuple(terms)

    def _objective(self) -> Objective:
        inner: Objective
        match self.objective:
            case "clip":
                inner = Clipped(
                    low=self.clip_low,
                    high=self.clip_high,
                    dual=self.dual_clip,
                    delta=self.delta,
                    ratio=self.ratio,
                )
            case "cispo":
                inner = Cispo(low=self.clip_low, high=self.clip_high)
            case "plain":
                inner = Reinforce()
        if self.importance_cap is not None:
            return Corrected(inner=inner, cap=self.importance_cap)
        return inner

    def _reduction(self) -> Reduction:
        match self.reduction:
            case "token_mean":
                return token_mean
            case "sequence_mean":
                return sequence_mean
            case "sequence_sum":
                return sequence_sum
            case "sequence_sum_norm":
                return SequenceSumNorm(self.known_length("reduction"))


@register_method
class DrGrpo(Grpo):
    """GRPO done right: no std, no length in the divisor (arXiv 2503.20783)."""

    name: str = "dr_grpo"
    normalize: Normalize = "mean_only"
    reduction: ReductionName = "sequence_sum_norm"


@register_method
class Dapo(Grpo):
    """Decoupled clip and dynamic sampling (arXiv 2503.14476)."""

    name: str = "dapo"
    group_size: int = Field(default=16, ge=1)
    clip_high: float = Field(default=0.28, gt=0.0)
    reduction: ReductionName = "token_mean"
    dynamic_sampling: bool = True
    overlong_share: float | None = Field(default=0.2, ge=0.0, le=1.0)


@register_method
class Gspo(Grpo):
    """Group sequence policy optimisation (arXiv 2507.18071)."""

    name: str = "gspo"
    ratio: RatioScope = "sequence"
    clip_low: float = Field(default=3e-4, gt=0.0)
    clip_high: float = Field(default=4e-4, gt=0.0)


@register_method
class CispoSpec(Grpo):
    """Clipped importance weights that keep every token's gradient (arXiv 2506.13585)."""

    name: str = "cispo"
    objective: Literal["clip", "cispo", "plain"] = "cispo"
    clip_low: float = Field(default=1.0, gt=0.0)
    clip_high: float = Field(default=4.0, gt=0.0)
    reduction: ReductionName = "token_mean"


@register_method
class Rloo(Grpo):
    """Leave-one-out baseline (arXiv 2402.14740), with the clipped token ratio of verl."""

    name: str = "rloo"
    normalize: Normalize = "leave_one_out"
    reduction: ReductionName = "token_mean"


@register_method
class ReinforcePlusPlus(Grpo):
    """REINFORCE++ (arXiv 2501.03262): one rollout a prompt, whitened over the step's tokens."""

    name: str = "reinforce_pp"
    group_size: int = Field(default=1, ge=1)
    normalize: Normalize = "tokens"
    kl: KlKind = "k2"
    reduction: ReductionName = "token_mean"


@register_method
class ReinforcePlusPlusBaseline(Grpo):
    """REINFORCE++ after subtracting the group's mean (arXiv 2501.03262)."""

    name: str = "reinforce_pp_baseline"
    normalize: Normalize = "tokens_baseline"
    kl: KlKind = "k2"
    reduction: ReductionName = "token_mean"


@register_method
class Bnpo(Grpo):
    """Beta-normalised policy optimisation (arXiv 2506.02864)."""

    name: str = "bnpo"
    normalize: Normalize = "beta"
    reduction: ReductionName = "token_mean"
